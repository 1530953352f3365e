"""Whole runs for a cluster: pyinfra, and a kubectl that plays a cluster."""

import base64
import copy
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import pyinfra_server
from tests.plan.conftest import REPOSITORY, Run
from tests.plan.stand_in_kubectl import Cluster
from wsdeploy import Acme, App, CertFiles, HTTPRoute, Image, Ingress, Kubernetes, Settings
from wsdeploy.cluster import lease, status
from wsdeploy.cluster.found import Found
from wsdeploy.deploy.cluster import handshake
from wsdeploy.deploy.cluster.handshake import HandshakeError
from wsdeploy.deploy.cluster.kubectl import Kubectl
from wshost.requests import Process
from wshost.rollout.probe import MAGIC

INVENTORY = """\
from wsdeploy import *

settings = Settings(
    "ws.a-company.com",
    App("app.py", {app}),
    CertFiles("cert.pem", "key.pem"),
    {settings}
)
service = pods(
    settings,
    Kubernetes(
        "chat",
        Image("registry.a-company.com/chat", base="debian@sha256:" + "a" * 64),
        {way},
        reached_at="127.0.0.1:{port}",
        {more}
    ),
)
"""
SKOPEO = """\
#!/bin/sh
case "$*" in
    *inspect*) echo '{}' ;;
esac
"""
NO_IMAGE = f"""\
#!/bin/sh
case "$*" in
    *inspect*) echo 'level=fatal msg="reading manifest: manifest unknown"' >&2; exit 1 ;;
esac
if [ -e refuses ]; then
    echo 'level=fatal msg="requested access is denied"' >&2
    exit 1
fi
echo "$*" >pushed
for word; do
    case "$word" in --digestfile=*) printf sha256:{"c" * 64} >"${{word#*=}}" ;; esac
done
"""
TLS = {
    "Secret/ws-tls": {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "ws-tls"},
        "data": {"tls.crt": "", "tls.key": ""},
    }
}
"""What has to be there before the service is."""
READS = {"config", "version", "api-resources", "get", "apply"}
"""What a run asks that changes nothing; it applies with --dry-run only."""


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of a client's own trust, and its key."""
    folder = tmp_path_factory.mktemp("pair")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    name = ("-subj", "/CN=ws.a-company.com", "-addext", "subjectAltName=DNS:ws.a-company.com")
    files = ("-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    subprocess.run([*words.split(), *name, *files], check=True, capture_output=True)
    return folder


@dataclass
class WayIn:
    """What stands for a cluster's way in: a WebSocket server with TLS, for one client at a time."""

    context: ssl.SSLContext
    answer: str = "101 Switching Protocols"
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        number: int = self.listener.getsockname()[1]
        return number

    def serve(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    self._talk(connection)
            except OSError:
                continue

    def _talk(self, connection: ssl.SSLSocket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        lines = head.decode().split("\r\n")
        (key,) = [line.partition(": ")[2] for line in lines if line.startswith("Sec-WebSocket-Key")]
        accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()  # noqa: S324
        connection.sendall(
            f"HTTP/1.1 {self.answer}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        while data := connection.recv(4096):
            opcode, size, mask = data[0] & 15, data[1] & 127, data[2:6]
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[6 : 6 + size]))
            # A ping is answered by a pong, a close by a close.
            connection.sendall(bytes((0x8A if opcode == 9 else 0x88, size)) + payload)


@pytest.fixture
def way_in(pair: Path) -> Iterator[WayIn]:
    """A way in that lets clients in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair / "cert.pem", pair / "key.pem")
    made = WayIn(context)
    threading.Thread(target=made.serve, daemon=True).start()
    yield made
    made.listener.close()


@dataclass
class Lab:
    """A project's folder, and the cluster that its inventory names."""

    folder: Path
    way_in: WayIn
    cluster: Cluster

    def there(self, kind: str) -> dict[str, Any]:
        """The objects of a kind, by their names."""
        found = self.cluster.objects.values()
        return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}

    @property
    def images(self) -> set[str]:
        """The images that pods have which are ready."""
        ready = [e for e in self.there("Pod").values() if e["status"].get("conditions")]
        return {each["spec"]["containers"][0]["image"] for each in ready}

    def asked(self, word: str) -> list[str]:
        return [each for each in self.cluster.asked if each.startswith(word)]

    def release(self, text: str) -> None:
        """Let the app be another one."""
        (self.folder / "app.py").write_text(f"print({text!r})\n")

    def inventory(
        self,
        app: str = "",
        settings: str = "",
        more: str = "",
        way: str = "Ingress()",
    ) -> None:
        text = INVENTORY.format(
            app=app, settings=settings, more=more, way=way, port=self.way_in.port
        )
        (self.folder / "inventory.py").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        """Where a run finds its programs, and the programs their cluster."""
        own = {
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
        }
        return dict(os.environ) | own

    def start(self) -> subprocess.Popen[str]:
        """Start a run that is to be interrupted."""
        return subprocess.Popen(
            (sys.executable, "-m", "pyinfra", "-y", "inventory.py", "deploy.py"),
            cwd=self.folder,
            env=self.environment | {"PYTHONPATH": str(REPOSITORY)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> Run:
        done = pyinfra_server.run(
            [self.folder / "inventory.py", *(words or ("deploy.py", "-y"))],
            cwd=self.folder,
            env=self.environment,
            timeout=120,
        )
        return Run(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def lab(folder: Path, pair: Path, way_in: WayIn) -> Iterator[Lab]:
    """A project, and an empty cluster."""
    for name in ("deploy.py", "config.py"):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("cert.pem", "key.pem"):
        shutil.copy(pair / name, folder)
    (folder / "bin").mkdir()
    (folder / "bin/skopeo").write_text(SKOPEO)
    (folder / "bin/skopeo").chmod(0o755)
    made = Lab(folder, way_in, Cluster(dict(TLS)))
    made.cluster.install(folder / "bin/kubectl")
    made.release("one")
    made.inventory()
    yield made
    made.cluster.listener.close()


def last_lines(run: Run) -> list[str]:
    """What a run says at its end."""
    return run.err.rstrip("\n").rpartition("\n\n")[2].split("\n")


def test_a_release_comes_once(lab: Lab) -> None:
    lab.inventory(app='secrets={"API_KEY": FromFile("api-key")}')
    (lab.folder / "api-key").write_text("very-secret")
    dry = lab.run("--dry", "--diff", "deploy.py")
    assert dry.code == 0, dry.said
    # Whoever means another cluster sees it first.
    assert "Loading: deploy.py\n    [@local] context staging, namespace chat\n" in plain(dry.err)
    # Nor does another shell change it meanwhile.
    assert lab.cluster.contexts == {"staging"}
    assert "Will create Deployment ws" in dry.err
    assert "nothing was changed" not in dry.err
    assert re.search(r"\+ +API_KEY: \"\(not shown\)\"", plain(dry.err))
    assert lab.cluster.objects == TLS
    first = lab.run("deploy.py", "-y", "--json")
    assert first.code == 0, first.said
    deployment = lab.there("Deployment")["ws"]
    release = deployment["metadata"]["annotations"]["wsdeploy/release"]
    assert last_lines(first) == [
        f"ws: release {release} serves at wss://ws.a-company.com/ from 2 pods",
        "before: nothing; it is the first release there",
    ]
    result = json.loads(first.out)["wsdeploy"]["run"]["cluster"]
    assert (result["before"], result["now"]["release"]) == (None, release)
    digest = hashlib.sha256(b"{}\n").hexdigest()
    (image,) = lab.images
    assert image.startswith(f"registry.a-company.com/chat:{release}-")
    assert image.endswith(f"@sha256:{digest}")
    kinds = [each.split("/")[0] for each in lab.cluster.objects]
    needed, pods = ("ServiceAccount", "ConfigMap", "Secret", "Service"), kinds.index("Deployment")
    assert all(kinds.index(kind) < pods < kinds.index("Ingress") for kind in needed)
    (secret,) = [each for name, each in lab.there("Secret").items() if name != "ws-tls"]
    assert base64.b64decode(secret["data"]["API_KEY"]) == b"very-secret"
    for run in (dry, first):
        assert "very-secret" not in run.said
        assert base64.b64encode(b"very-secret").decode() not in run.said
    before, asked = copy.deepcopy(lab.cluster.objects), len(lab.cluster.asked)
    second = lab.run()
    assert second.code == 0
    assert last_lines(second) == [
        "ws: nothing to do",
        f"release {release} serves at wss://ws.a-company.com/ from 2 pods",
    ]
    assert lab.cluster.objects == before
    words = lab.cluster.asked[asked:]
    assert {each.split()[0] for each in words} <= READS
    assert [each for each in words if each.startswith("apply")] == ["apply dry"]
    assert len(lab.cluster.asked) - asked <= 6


def test_releases_come_go_back_and_are_started_anew(lab: Lab) -> None:
    assert lab.run().code == 0
    (one,) = lab.images
    lab.release("two")
    lab.inventory(more="replicas=Replicas(2, 5)")
    second = lab.run()
    assert second.code == 0, second.said
    (two,) = lab.images
    assert two != one
    names = [each.partition("@")[0].rpartition(":")[2].partition("-")[0] for each in (one, two)]
    assert last_lines(second) == [
        f"ws: release {names[1]} serves at wss://ws.a-company.com/ from 2 pods",
        f"before: release {names[0]}; old pods close their clients over 30 s",
        f"next: pyinfra -y {lab.folder}/inventory.py wsdeploy.rollback brings {names[0]} back",
    ]
    shown = lab.run("-y", "wsdeploy.releases", "--json")
    kept = json.loads(shown.out)["wsdeploy"]["releases"]["@local"]
    assert [each["release"] for each in kept["records"]] == names[::-1]
    assert (kept["live"], kept["previous"]) == (2, 1)
    assert last_lines(shown) == [
        f"ws: release {names[1]} (revision 2) serves at wss://ws.a-company.com/",
        f"next: pyinfra -y {lab.folder}/inventory.py wsdeploy.rollback brings revision 1 back",
    ]
    # Neither the app nor its certificate is needed any more.
    (lab.folder / "app.py").rename(lab.folder / "gone.py")
    back = lab.run("-y", "wsdeploy.rollback")
    assert back.code == 0, back.said
    assert lab.images == {one}
    assert last_lines(back)[-1] == (
        f"next: revert {names[1]} in the code, too; else the next deploy brings it again"
    )
    again = lab.run("-y", "wsdeploy.rollback", f"to={names[1]}")
    assert again.code == 0, again.said
    assert lab.images == {two}
    pods = {*lab.there("Pod")}
    for each in (*lab.there("Deployment").values(), *lab.there("ReplicaSet").values()):
        each["metadata"]["annotations"]["wsdeploy/since"] = "2026-11-01T10:00:00Z"
    restarted = lab.run("-y", "wsdeploy.restart")
    assert restarted.code == 0, restarted.said
    assert "its pods were started anew" in restarted.err
    assert lab.images == {two}
    assert not pods & {*lab.there("Pod")}
    since = {
        e["metadata"]["annotations"]["wsdeploy/since"] for e in lab.there("Deployment").values()
    }
    assert since != {"2026-11-01T10:00:00Z"}
    # What was started anew is not so once more by the next deploy.
    (lab.folder / "gone.py").rename(lab.folder / "app.py")
    assert last_lines(lab.run())[0] == "ws: nothing to do"


BAD = {
    "crash": "the app ended with exit code 1",
    "pull": "ImagePullBackOff: not found; wsdeploy image builds it, and skopeo pushes it",
    "killed": "the app was ended by signal 9, as nodes end what fails its probes",
    "late": "did not become ready in time",
}


def test_a_bad_release_takes_no_old_pod_away(lab: Lab) -> None:
    assert lab.run().code == 0
    images, pods = lab.images, {*lab.there("Pod")}
    objects = {*lab.cluster.objects}
    lab.release("two")
    lab.inventory(app='env={"A": "b"}', more="pre_stop=20")
    for how, cause in BAD.items():
        lab.cluster.play = how
        bad = lab.run()
        assert bad.code == 1
        first, second, *_, end = last_lines(bad)
        assert first.startswith("ws: failed in namespace chat: pod ws-")
        assert cause in first
        assert "goes on serving at wss://ws.a-company.com/; no client was closed" in second
        assert end == f"next: fix it and run pyinfra -y {lab.folder}/inventory.py deploy.py"
        assert ("RuntimeError: boom" in bad.err) == (how in ("crash", "killed"))
        assert lab.images == images
        assert {*lab.there("Pod")} == pods
        # What was made for it is gone, and the lock is free.
        assert {*lab.cluster.objects} == objects | {"Lease/ws-deploy"}
        assert "holderIdentity" not in lab.there("Lease")["ws-deploy"]["spec"]
    lab.cluster.play = "ready"
    assert lab.run().code == 0
    assert lab.images != images


def test_what_fails_its_handshake_is_taken_back(lab: Lab) -> None:
    assert lab.run().code == 0
    images = lab.images
    before = {name: each["spec"] for name, each in lab.there("Ingress").items()}
    lab.release("two")
    lab.inventory(way='Ingress(annotations={"a": "b"})')
    lab.way_in.answer = "500 Internal Server Error"
    bad = lab.run()
    assert bad.code == 1
    first, second, *_ = last_lines(bad)
    assert "wss://ws.a-company.com/: the handshake was answered with 500, not 101" in first
    assert "goes on serving" in second
    assert "no client was closed" not in second
    assert lab.images == images
    assert {name: each["spec"] for name, each in lab.there("Ingress").items()} == before
    assert "a" not in lab.there("Ingress")["ws"]["metadata"]["annotations"]
    lab.way_in.answer = "101 Switching Protocols"
    lab.inventory()
    lab.release("one")
    assert last_lines(lab.run())[0] == "ws: nothing to do"


def test_a_first_release_that_fails_stays_to_be_looked_at(lab: Lab) -> None:
    lab.cluster.play = "crash"
    assert lab.run().code == 1
    lab.release("two")
    # Nor is there anything to go back to for the next one.
    bad = lab.run()
    assert bad.code == 1
    assert last_lines(bad)[1:] == [
        "nothing serves at wss://ws.a-company.com/ yet",
        "what there is of it stays: kubectl --context staging -n chat describe pods -l "
        "app.kubernetes.io/name=ws; wsdeploy.remove takes it away",
        f"next: fix it and run pyinfra -y {lab.folder}/inventory.py deploy.py",
    ]
    assert lab.there("Deployment")
    assert not lab.there("Ingress")
    removed = lab.run("-y", "wsdeploy.remove")
    assert removed.code == 0, removed.said
    assert lab.cluster.objects == TLS


def test_a_first_release_that_has_never_served_is_waited_for_once_more(lab: Lab) -> None:
    lab.inventory(more="handshake=False")
    lab.cluster.play = "crash"
    assert lab.run().code == 1
    # All that its pods need is there as it should be, and so is their Deployment.
    again = lab.run()
    assert again.code == 1
    assert last_lines(again)[0].endswith("the app ended with exit code 1")
    assert not lab.there("Ingress")
    for each in lab.there("ReplicaSet").values():
        each["play"] = "ready"
    done = lab.run()
    assert done.code == 0, done.said
    assert last_lines(done)[0].endswith("serves at wss://ws.a-company.com/ from 2 pods")
    assert last_lines(lab.run())[0] == "ws: nothing to do"


def test_a_service_goes_with_its_pods_first(lab: Lab) -> None:
    assert lab.run().code == 0
    objects = copy.deepcopy(lab.cluster.objects)
    dry = lab.run("--dry", "wsdeploy.remove")
    told = [each.rpartition("Will delete ")[2] for each in dry.err.splitlines() if "Will" in each]
    assert {each.replace(" ", "/") for each in told} == {
        each for each in objects if each.split("/")[0] not in ("Lease", "Pod", "ReplicaSet")
    } - {*TLS}
    assert lab.cluster.objects == objects
    lab.cluster.fails = {"delete": "Error from server (Forbidden): no"}
    refused = lab.run("-y", "wsdeploy.remove")
    assert refused.code == 1
    assert last_lines(refused) == [
        "ws: failed in namespace chat: the cluster of context staging does not allow it: no",
        f"next: fix it and run pyinfra {lab.folder}/inventory.py -y wsdeploy.remove",
    ]
    lab.cluster.fails = {}
    asked = len(lab.cluster.asked)
    removed = lab.run("-y", "wsdeploy.remove")
    assert removed.code == 0, removed.said
    assert "2 pods closing connections" in removed.err
    assert last_lines(removed) == [
        "ws: gone from namespace chat",
        "what is not wsdeploy's stays: namespace chat, images, other Secrets",
    ]
    assert {*lab.cluster.objects} == {*TLS}
    words = lab.cluster.asked[asked:]
    pods = words.index("delete Deployment/ws")
    (rest,) = [n for n, each in enumerate(words) if each.startswith("delete") and "Ingress" in each]
    # What passes clients to pods stays until they are closed.
    assert words[pods:rest].count("get pods") == 2
    assert last_lines(lab.run("-y", "wsdeploy.remove")) == [
        "ws: nothing to do; it is not in namespace chat"
    ]


def test_what_is_not_ours_is_left_alone_unless_it_is_to_be_taken_over(lab: Lab) -> None:
    labels = {"app.kubernetes.io/name": "ws"}
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ws", "labels": labels}}
    theirs["spec"] = {"type": "NodePort"}
    lab.cluster.objects = TLS | {"Service/ws": theirs}
    refused = lab.run()
    assert refused.code == 1
    assert "Service ws is there and not wsdeploy's" in refused.err
    assert lab.cluster.objects == TLS | {"Service/ws": theirs}
    lab.inventory(settings="take_over=True")
    taken = lab.run()
    assert taken.code == 0, taken.said
    assert lab.there("Service")["ws"]["spec"]["type"] == "ClusterIP"


def ports(policy: dict[str, Any]) -> set[tuple[str, object]]:
    """From which namespace which port is open."""
    return {
        (each["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], it)
        for each in policy["spec"]["ingress"]
        for it in [port["port"] for port in each["ports"]]
    }


def test_pods_of_both_releases_are_reached_while_both_are_there(lab: Lab) -> None:
    assert lab.run().code == 0
    old, new = {("haproxy-controller", "ws")}, {("traefik", "ws"), ("traefik", 4143)}
    open_by_pods: list[set[tuple[str, object]]] = []
    lab.cluster.on_pods = lambda: open_by_pods.append(ports(lab.there("NetworkPolicy")["ws"]))
    lab.inventory(way='Ingress("traefik", namespace="traefik")', more='mesh="linkerd"')
    lab.way_in.answer = "500 Internal Server Error"
    run, asked = lab.cluster.answer, []

    def answer(words: list[str], body: str) -> tuple[int, str]:
        asked.append(ports(lab.there("NetworkPolicy")["ws"]))
        return run(words, body)

    lab.cluster.answer = answer  # type: ignore[method-assign]
    assert lab.run().code == 1
    # Who comes in as before is let in until a WebSocket has come in by the new way.
    assert all(old <= each for each in asked)
    # On the way there, and on the way back.
    assert len(open_by_pods) == 2
    assert all(old | new <= each for each in open_by_pods)
    assert ports(lab.there("NetworkPolicy")["ws"]) == old
    lab.way_in.answer = "101 Switching Protocols"
    changed = lab.run()
    assert changed.code == 0
    assert old | new <= open_by_pods[2]
    assert ports(lab.there("NetworkPolicy")["ws"]) == new
    assert last_lines(changed)[-1].count("NetworkPolicy") <= 1
    assert last_lines(lab.run())[0] == "ws: nothing to do"


def test_another_project_of_the_same_name_takes_nothing_over(lab: Lab) -> None:
    assert lab.run().code == 0
    before = copy.deepcopy(lab.cluster.objects)
    inventory = lab.folder / "inventory.py"
    inventory.write_text(inventory.read_text().replace("ws.a-company.com", "ws.b-company.com"))
    for words in (
        ("deploy.py", "-y"),
        *(("-y", f"wsdeploy.{each}") for each in ("rollback", "restart", "remove")),
    ):
        refused = lab.run(*words)
        assert refused.code == 1
        assert (
            "ws is there already, for ws.a-company.com, and this inventory is for "
            "ws.b-company.com; give Settings another name, or take_over=True" in refused.err
        )
        lease_now = lab.cluster.objects["Lease/ws-deploy"]
        assert lab.cluster.objects == before | {"Lease/ws-deploy": lease_now}


def test_what_others_have_added_to_pods_is_said_and_left_alone(lab: Lab) -> None:
    assert lab.run().code == 0
    deployment = lab.there("Deployment")["ws"]
    deployment["spec"]["template"]["spec"]["hostAliases"] = [{"ip": "10.0.0.1"}]
    owned: Any = {"f:spec": {"f:template": {"f:spec": {"f:hostAliases": {}}}}}
    entry = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": owned}
    # The stand-in looks at the last one for what is ours.
    deployment["metadata"]["managedFields"].insert(0, entry)
    run = lab.run()
    assert "kubectl-edit has added spec.hostAliases to its pods, which stays" in run.err
    assert last_lines(run)[0] == "ws: nothing to do"
    assert deployment["spec"]["template"]["spec"]["hostAliases"]


def test_one_run_at_a_time_changes_a_cluster(lab: Lab) -> None:
    now = time.time()
    process: Process = {"pid": 1, "start": "0", "where": "elsewhere"}
    holder = lease.Holder("somebody@elsewhere", "another run", process)
    held = lease.lease("ws", "chat", holder, now) | {"status": {}}
    held["metadata"]["resourceVersion"] = "7"
    lab.cluster.objects = TLS | {"Lease/ws-deploy": held}
    refused = lab.run()
    assert refused.code == 1
    assert "another run is at work: somebody@elsewhere has had the lock since" in refused.err
    assert last_lines(refused)[-1].endswith("if it is gone, wsdeploy.unlock")
    assert lab.cluster.objects == TLS | {"Lease/ws-deploy": held}
    # Nobody has renewed it for an hour.
    old = lease.lease("ws", "chat", holder, now - 3600)
    old["metadata"]["resourceVersion"] = "8"
    lab.cluster.objects = TLS | {"Lease/ws-deploy": old}
    assert lab.run().code == 0
    assert "renewTime" not in lab.there("Lease")["ws-deploy"]["spec"]
    lab.cluster.objects = lab.cluster.objects | {"Lease/ws-deploy": held}
    freed = lab.run("-y", "wsdeploy.unlock")
    first, next_step = last_lines(freed)
    assert first.startswith("ws: the lock is free now; somebody@elsewhere has had the lock since")
    assert next_step.endswith("inventory.py wsdeploy.releases shows what serves; look first")
    lab.release("two")
    assert lab.run().code == 0
    assert last_lines(lab.run("-y", "wsdeploy.unlock")) == [
        "ws: nothing to do; nobody has the lock"
    ]


def test_ctrl_c_leaves_the_cluster_to_go_on(lab: Lab) -> None:
    assert lab.run().code == 0
    release = lab.there("Deployment")["ws"]["metadata"]["annotations"]["wsdeploy/release"]
    lab.release("two")
    lab.cluster.play = "slow"
    run = lab.start()
    assert run.stderr
    assert any("0 of 2 new pods ready, 2 old ones left" in line for line in run.stderr)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert err.rpartition("\n\n")[2].splitlines() == [
        f"ws: interrupted; release {release} goes on serving at wss://ws.a-company.com/",
        "the cluster goes on by itself: ws has 0 of 2 new pods ready, 2 old ones left",
        "next: pyinfra -y inventory.py deploy.py does what is left to do",
    ]
    assert "holderIdentity" not in lab.there("Lease")["ws-deploy"]["spec"]
    # The next run takes up what is there.
    for each in lab.there("ReplicaSet").values():
        each["play"] = "ready"
    lab.cluster.play = "ready"
    assert lab.run().code == 0
    assert len(lab.images) == 1


def test_a_bad_release_of_a_killed_run_is_put_back_by_the_next(lab: Lab) -> None:
    assert lab.run().code == 0
    release = lab.there("Deployment")["ws"]["metadata"]["annotations"]["wsdeploy/release"]
    lab.release("two")
    lab.cluster.play = "slow"
    killed = lab.start()
    assert killed.stderr
    assert any("0 of 2 new pods ready" in line for line in killed.stderr)
    killed.kill()
    killed.wait()
    for each in lab.there("ReplicaSet").values():
        each["play"] = each["play"].replace("slow", "crash")
    lab.cluster.play = "crash"
    run = lab.run()
    assert run.code == 1
    assert last_lines(run)[1] == (
        f"release {release} goes on serving at wss://ws.a-company.com/; no client was closed"
    )


def test_a_rollback_goes_to_what_has_served_and_not_to_what_a_killed_run_has_left(
    lab: Lab,
) -> None:
    assert lab.run().code == 0
    (one,) = lab.images
    lab.release("two")
    lab.cluster.play = "slow"
    killed = lab.start()
    assert killed.stderr
    assert any("0 of 2 new pods ready" in line for line in killed.stderr)
    killed.kill()
    killed.wait()
    lab.cluster.play = "ready"
    lab.release("three")
    assert lab.run().code == 0
    assert one not in lab.images
    back = lab.run("-y", "wsdeploy.rollback")
    assert back.code == 0, back.said
    assert lab.images == {one}


def test_haproxy_of_its_own_comes_after_the_app_and_is_waited_for(lab: Lab) -> None:
    lab.inventory(way='LoadBalancer("haproxy@sha256:" + "b" * 64)')
    run = lab.run()
    assert run.code == 0, run.said
    assert {*lab.there("Deployment")} == {"ws", "ws-proxy"}
    assert len(lab.images) == 2
    before = lab.images
    lab.inventory(way='LoadBalancer("haproxy@sha256:" + "c" * 64)', settings="max_connections=500")
    lab.cluster.play = "crash"
    bad = lab.run()
    assert bad.code == 1
    assert lab.images == before
    lab.cluster.play = "ready"
    assert lab.run().code == 0
    # Their replicas are those of an autoscaler from now on, and no fewer than there are.
    lab.inventory(
        way='LoadBalancer("haproxy@sha256:" + "c" * 64)',
        settings="max_connections=500",
        more="replicas=Replicas(2, 5)",
    )
    assert lab.run().code == 0
    deployment = lab.there("Deployment")["ws"]
    assert deployment["spec"]["replicas"] == 2
    assert lab.there("HorizontalPodAutoscaler")
    assert last_lines(lab.run())[0] == "ws: nothing to do"
    # The autoscaler has made it three, so that the number is its own.
    deployment["spec"]["replicas"] = 3
    del deployment["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:replicas"]
    lab.inventory(
        way='LoadBalancer("haproxy@sha256:" + "c" * 64)',
        settings="max_connections=600",
        more="replicas=4",
    )
    lab.cluster.play = "crash"
    assert lab.run().code == 1
    assert lab.there("Deployment")["ws"]["spec"]["replicas"] == 3


def test_another_way_in_leaves_nothing_of_the_one_before(lab: Lab) -> None:
    assert lab.run().code == 0
    lab.inventory(way='HTTPRoute("public")')
    changed = lab.run()
    assert changed.code == 0, changed.said
    assert not lab.there("Ingress")
    assert {*lab.there("HTTPRoute")} == {"ws", "ws-redirect"}
    assert last_lines(changed)[-1].startswith("changed: ")
    assert "Ingress ws gone" in changed.err
    assert last_lines(lab.run())[0] == "ws: nothing to do"


def test_a_missing_image_is_built_and_pushed_before_the_cluster_changes(lab: Lab) -> None:
    with tarfile.open(lab.folder / "base.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("usr/bin/python3"), io.BytesIO())
    (lab.folder / "bin/skopeo").write_text(NO_IMAGE)
    text = (lab.folder / "inventory.py").read_text()
    rootfs = text.replace('base="debian@sha256:" + "a" * 64', 'rootfs="base.tar", registry="http"')
    (lab.folder / "inventory.py").write_text(rootfs)
    (lab.folder / "refuses").touch()
    refused = lab.run()
    assert refused.code == 1
    assert "it can't be pushed: requested access is denied; skopeo login registry" in refused.err
    assert {*lab.cluster.objects} == {*TLS, "Lease/ws-deploy"}
    (lab.folder / "refuses").unlink()
    pushed = lab.run()
    assert pushed.code == 0, pushed.said
    (image,) = lab.images
    assert image.endswith(f"@sha256:{'c' * 64}")
    words = (lab.folder / "pushed").read_text()
    assert "--dest-tls-verify=false" in words
    assert f"docker://{image.partition('@')[0]}" in words


def test_without_a_registry_a_file_is_written_first(lab: Lab) -> None:
    with tarfile.open(lab.folder / "base.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("usr/bin/python3"), io.BytesIO())
    text = (lab.folder / "inventory.py").read_text()
    rootfs = text.replace('base="debian@sha256:" + "a" * 64', 'rootfs="base.tar", registry=None')
    (lab.folder / "inventory.py").write_text(rootfs)
    wrote = lab.run()
    assert wrote.code == 0, wrote.said
    (file,) = lab.folder.glob("chat-*.tar")
    inventory = lab.folder / "inventory.py"
    assert last_lines(wrote) == [
        f"ws: wrote the image to {file.name}; nothing serves at wss://ws.a-company.com/ yet",
        f"next: load it on each node (ctr -n k8s.io images import {file.name}), then pyinfra -y "
        f"{inventory} deploy.py",
    ]
    assert {*lab.cluster.objects} == {*TLS, "Lease/ws-deploy"}
    with tarfile.open(file) as tar:
        assert tar.getmember("./index.json")
    assert not lab.there("Deployment")
    assert lab.run().code == 0
    (container,) = lab.there("Deployment")["ws"]["spec"]["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == "Never"
    assert "@" not in container["image"]


@pytest.mark.parametrize(
    ("cluster", "line"),
    [
        (
            {"minor": "33"},
            "the cluster of context staging has Kubernetes 1.33; 1.34 is the oldest to do",
        ),
        (
            {"fails": {"api-resources": "Unable to connect to the server: dial tcp: i/o timeout"}},
            "the cluster of context staging can't be reached: Unable to connect to the server: "
            "dial tcp: i/o timeout",
        ),
        ({"objects": {}}, "Secret ws-tls is not there, with tls.crt, tls.key; make it first"),
    ],
)
def test_a_cluster_that_will_not_do_is_named_in_a_line(
    lab: Lab, cluster: dict[str, Any], line: str
) -> None:
    for name, value in cluster.items():
        setattr(lab.cluster, name, value)
    run = lab.run("deploy.py", "--dry")
    assert run.code == 1
    assert f"--> Operation error: {line}\n" in plain(run.err)
    assert last_lines(run) == ["ws: nothing was changed"]
    assert "Traceback" not in run.err
    assert "wsdeploy/" not in run.err
    assert lab.cluster.objects == {"objects": TLS, **cluster}["objects"]


def test_commands_for_hosts_say_so(lab: Lab) -> None:
    for command in ("capacity", "certificates"):
        run = lab.run("-y", f"wsdeploy.{command}")
        assert run.code == 1
        assert f"inventory.py is for a cluster, and wsdeploy.{command} for hosts; " in run.err


@pytest.mark.parametrize("words", [("deploy.py", "--dry"), ("-y", "wsdeploy.restart")])
def test_hosts_in_the_same_inventory_are_refused(lab: Lab, words: tuple[str, ...]) -> None:
    inventory = lab.folder / "inventory.py"
    hosts = 'app, proxy = hosts(settings, app=["app1.a-company.com"])\n'
    inventory.write_text(f"{inventory.read_text()}\n{hosts}")
    run = lab.run(*words)
    assert run.code == 1
    assert "inventory.py has more than one of hosts, clusters and platforms; give each" in run.err
    assert "Traceback" not in run.err
    assert lab.cluster.objects == TLS


class NoAddress(Kubectl):
    """A cluster that has given the way in no address yet, or this one."""

    address = ""

    def one(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        given = {"status": {"loadBalancer": {"ingress": [{"ip": self.address}]}}}
        return given if self.address else None


def try_it(
    way_in: WayIn,
    tls: Acme | CertFiles,
    domain: str = "ws.a-company.com",
    tell: Callable[[str], None] = print,
    *,
    new: bool = False,
) -> str | None:
    settings = Settings(domain, App("app.py"), tls)
    image = Image("chat", base=f"debian@sha256:{'a' * 64}")
    reached_at = f"127.0.0.1:{way_in.port}"
    kubernetes = Kubernetes("chat", image, Ingress(issuer="a"), reached_at=reached_at)
    return handshake.check(settings, kubernetes, NoAddress("chat"), tell, new=new)


def test_what_a_new_way_in_is_waited_for_is_said(
    way_in: WayIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if minutes passed.
    monkeypatch.setattr(handshake, "PAUSE", 0.01)
    monkeypatch.setattr(handshake, "NEWS", 0)
    monkeypatch.setattr(handshake, "NEW", 0.3)
    said: list[str] = []
    assert try_it(way_in, Acme("ops@a-company.com"), tell=said.append, new=True)
    assert {re.sub(r"\d+ s", "N s", each) for each in said} == {
        "waiting for the way in, for N s more at most: its certificate can't be verified from "
        "here: self-signed certificate"
    }
    said.clear()
    no_place = Kubernetes("chat", Image("chat", base=f"debian@sha256:{'a' * 64}"), Ingress())
    settings = Settings("ws.a-company.com", App("app.py"), CertFiles("cert.pem", "key.pem"))
    assert handshake.check(settings, no_place, NoAddress("chat"), said.append, new=True)
    assert {each.partition(": ")[2] for each in said} == {
        "the cluster gives ingresses ws no address yet"
    }


def test_a_certificate_that_nobody_here_knows_is_said(way_in: WayIn, pair: Path) -> None:
    note = try_it(way_in, Acme("ops@a-company.com"))
    assert (
        note == "the certificate at the way in can't be verified from here: self-signed certificate"
    )
    own = CertFiles(str(pair / "cert.pem"), str(pair / "key.pem"))
    assert try_it(way_in, own) is None
    with pytest.raises(HandshakeError, match=r"^no WebSocket .*: wss://b.a-company.com/: Host"):
        try_it(way_in, own, "b.a-company.com")


def test_a_way_in_without_an_address_is_said() -> None:
    settings = Settings("ws.a-company.com", App("app.py"), Acme("ops@a-company.com"))
    image = Image("chat", base=f"debian@sha256:{'a' * 64}")
    kubernetes = Kubernetes("chat", image, Ingress(issuer="a"))
    note = handshake.check(settings, kubernetes, NoAddress("chat"), print, new=False)
    assert note == (
        "the cluster gives ingresses ws no address, so no WebSocket was tried through it; give "
        "Kubernetes(reached_at=...), where this machine reaches it"
    )


class RefusesRoutes(Kubectl):
    """A cluster whose Gateway has no listener of the name that the route gives."""

    def one(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        assert (kind, name) == ("httproutes.gateway.networking.k8s.io", "ws")
        refused = {
            "type": "Accepted",
            "status": "False",
            "reason": "NoMatchingParent",
            "message": "No listeners\nmatch",
        }
        parent = {"parentRef": {"name": "public"}, "conditions": [refused]}
        return {"status": {"parents": [parent]}}


@pytest.mark.parametrize("domain", ["ws.a-company.com", "b.a-company.com"])
def test_a_gateway_that_does_not_take_the_route_is_said(
    way_in: WayIn, pair: Path, domain: str
) -> None:
    # Even if a proxy still answers, by the route of before.
    settings = Settings(
        domain, App("app.py"), CertFiles(str(pair / "cert.pem"), str(pair / "key.pem"))
    )
    image = Image("chat", base=f"debian@sha256:{'a' * 64}")
    route = HTTPRoute("public", policies="envoy")
    kubernetes = Kubernetes("chat", image, route, reached_at=f"127.0.0.1:{way_in.port}")
    with pytest.raises(HandshakeError) as error:
        handshake.check(settings, kubernetes, RefusesRoutes("chat"), print, new=False)
    *failed, why = str(error.value).split("; ")
    assert why == (
        "Gateway public does not take the HTTPRoute: NoMatchingParent: No listeners match"
    )
    assert [domain in each for each in failed] == [True] * (domain == "b.a-company.com")


def plain(text: str) -> str:
    """A text without colours."""
    return re.sub(r"\x1b\[\d*m", "", text)


def test_what_goes_on_is_said_as_on_hosts(lab: Lab) -> None:
    assert lab.run().code == 0
    well = lab.run("wsdeploy.status")
    assert well.code == 0, well.said
    assert well.out.startswith("wss://ws.a-company.com/  SERVES  namespace ")
    for pod in lab.there("Pod"):
        assert pod in well.out
    asked = lab.run("wsdeploy.status", "--json")
    found = json.loads(asked.out)["wsdeploy"]["status"]
    assert (found["state"], found["code"], found["problems"]) == ("serves", 0, [])
    there = Found("ws", tuple(lab.cluster.objects.values()))
    for each in there.of("Pod"):
        each["status"]["conditions"] = []
    down = status.look(there, "ws", "wss://ws.a-company.com/", "chat")
    assert down.level == 2
    assert "!! no pod of the app is ready" in [*down.lines()]


def test_logs_of_a_cluster_are_kubectls(lab: Lab) -> None:
    done = lab.run("wsdeploy.logs")
    assert done.code == 1
    command = "kubectl -n chat logs --prefix -l app.kubernetes.io/name=ws\n"
    assert f"in a cluster, {command}" in done.err
