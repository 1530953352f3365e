"""A cluster: what is rendered for Kubernetes runs, and nobody is refused while it changes.

Pods are played by the stand-in of wsdeploy_sandbox/cluster, kubectl is the real one.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import wsdeploy_sandbox as sandbox
from tests.sandbox import cluster_site
from tests.sandbox.cluster_site import NAMESPACE, SECRET, ClusterSite
from wsdeploy.checks.client import Client
from wsdeploy.cluster.pods import USER
from wsdeploy.image import contents
from wsdeploy.inventory import Cluster, read
from wsdeploy_sandbox.cluster import host, images, registry

HELD = 200
RATE = 50
"""Handshakes a second while something changes that nobody may notice."""
DRAIN = 3
NAME = "cluster-pods"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSite]:
    sandbox.down(NAME)
    site = cluster_site.make(host.up(NAME), tmp_path_factory.mktemp(NAME))
    yield site
    if not os.environ.get("KEEP_SANDBOX"):
        sandbox.down(NAME)


def service(site: ClusterSite) -> Cluster:
    found = read(site.inventory)
    assert isinstance(found, Cluster)
    return found


def versions(site: ClusterSite) -> dict[str, str]:
    """Return the revision of each object that has been applied, and of all pods."""
    kinds = "pods,deployments,replicasets,services,configmaps,secrets,poddisruptionbudgets"
    found = site.objects(kinds)
    return {
        f"{it['kind']}/{it['metadata']['name']}": it["metadata"]["resourceVersion"] for it in found
    }


@contextlib.contextmanager
def clients(site: ClusterSite, number: int) -> Iterator[list[Client]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(site.client()) for _ in range(number)]


def test_deploy(site: ClusterSite) -> None:
    site.release()
    site.echoes()


def reaches(site: ClusterSite) -> bool:
    """Tell whether a client gets to a pod: proxies know of pods a moment later."""
    try:
        site.echoes()
    except Exception:
        return False
    return True


def test_a_second_run_changes_nothing(site: ClusterSite) -> None:
    before = versions(site)
    site.converged()
    assert versions(site) == before


ABOUT = """
import json, os, pathlib
def writable(path):
    try:
        pathlib.Path(path, "x").write_text("x")
    except OSError as error:
        return error.strerror
    return True
status = dict(line.split(":", 1) for line in open("/proc/1/status"))
environment = dict(w.split("=", 1) for w in open("/proc/1/environ").read().split("\\0") if w)
print(json.dumps({
    "status": {name: status[name].split() for name in
        ("Uid", "Gid", "Groups", "CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")},
    "writable": {path: writable(path) for path in
        ("/", "/srv/ws", "/tmp", "/var/lib/ws", "/var/tmp", "/run", "/etc")},
    "environment": environment,
    "backlog": open("/proc/sys/net/core/somaxconn").read().strip(),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"),
}))
"""


def test_a_pod_has_no_rights(site: ClusterSite) -> None:
    found = json.loads(site.in_pod(site.pods()[0], ABOUT))
    assert found["status"] == {
        "Uid": [str(USER)] * 4,
        "Gid": [str(USER)] * 4,
        "Groups": [str(USER)],
        "CapEff": ["0" * 16],
        "CapPrm": ["0" * 16],
        "CapBnd": ["0" * 16],
        "NoNewPrivs": ["1"],
        "Seccomp": ["2"],
    }
    refused = {path: why for path, why in found["writable"].items() if why is not True}
    assert refused == dict.fromkeys(
        ("/", "/srv/ws", "/var/tmp", "/run", "/etc"), "Read-only file system"
    )
    assert found["environment"]["TOKEN"] == SECRET
    assert found["environment"]["WS_PORT"] == "8000"
    # As many as the app asks for may wait to be accepted.
    assert found["backlog"] == found["environment"]["WS_BACKLOG"]
    assert not found["token"]


def test_secrets_are_only_for_the_app(site: ClusterSite) -> None:
    said = site.kubectl("get", "pods,deployments,configmaps", "-o=json")
    assert SECRET not in said
    pod = site.pods("proxy")[0]
    listing = site.ssh(f"podman inspect --format json {site.container(pod, 'haproxy')}")
    mounts = {it["Destination"]: it["Source"] for it in json.loads(listing)[0]["Mounts"]}
    place = mounts["/etc/haproxy/tls"]
    # Root's, and to be read by the group of this pod.
    assert site.ssh(f"stat -L -c '%a %u %g' {place}/cert.pem.key") == f"440 0 {USER}\n"


def test_an_image_built_twice_is_the_same_one_and_the_registrys(site: ClusterSite) -> None:
    wanted = service(site)
    first, second = (images.app(wanted.settings, wanted.kubernetes) for _ in range(2))
    assert first.manifest == second.manifest
    assert registry.served(first.name) == first.digest
    assert first.name == contents.target(wanted.settings, wanted.kubernetes).image
    running = {it["imageID"] for pod in site.pods() for it in pod["status"]["containerStatuses"]}
    assert running == {first.digest}


def test_a_third_pod_gets_all_new_clients(site: ClusterSite) -> None:
    site.until(lambda: not site.ending())
    with clients(site, HELD):
        assert sorted(site.connections().values()) == [HELD // 2] * 2
        site.deploy(kubernetes_replicas="3")
        new = max(site.pods(), key=lambda pod: pod["status"]["startTime"])["metadata"]["name"]

        def is_known() -> bool:
            with site.client():
                return site.connections()[new] > 0

        site.until(is_known)
        site.until(lambda: not site.connections()[new])
        with clients(site, HELD // 2):
            assert site.connections()[new] == HELD // 2
    site.release(kubernetes_replicas="2")


def test_a_new_release_refuses_nobody(site: ClusterSite) -> None:
    app = site.settings["app"]
    with site.under_load(RATE, HELD, returning=True) as outcome:
        site.release(app=app.replace("drain", 'env={"COLOUR": "blue"}, drain'))
    assert outcome["failed"] == {}
    assert outcome["codes"] == {"1012": HELD}
    assert max(outcome["closed_at"]) - min(outcome["closed_at"]) >= DRAIN
    site.echoes()


def test_an_undone_release_refuses_nobody(site: ClusterSite) -> None:
    before = {it["metadata"]["labels"]["pod-template-hash"] for it in site.pods()}
    with site.under_load(RATE, HELD, returning=True) as outcome:
        site.kubectl("rollout", "undo", "deployment/ws")
        site.rolled_out()
        site.until(lambda: not site.ending())
    assert outcome["failed"] == {}
    assert outcome["codes"] == {"1012": HELD}
    assert before.isdisjoint(it["metadata"]["labels"]["pod-template-hash"] for it in site.pods())
    # What the inventory says is wanted all the same.
    site.release()
    assert before == {it["metadata"]["labels"]["pod-template-hash"] for it in site.pods()}


OWN_HEALTH = """
from http import HTTPStatus
from wsapp import run
async def handler(websocket):
    async for message in websocket:
        await websocket.send(message)
def process_request(connection, request):
    if request.path == "/up":
        return connection.respond(HTTPStatus.OK, "up")
run(handler, process_request=process_request)
"""


def test_another_health_check_refuses_nobody(site: ClusterSite, copy: Path) -> None:
    app, program = site.settings["app"], copy / "files" / "app.py"
    before = program.read_text()
    program.write_text(OWN_HEALTH)
    with site.under_load(RATE, HELD, returning=True) as outcome:
        site.release(app=app.replace("drain", 'health="/up", drain'))
        # Until HAProxy's pods are others, new ones are asked for /up, which they do not have.
        program.write_text(before)
        site.release(app=app)
    assert outcome["failed"] == {}
    assert {*outcome["codes"]} == {"1012"}


NEVER_READY = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
time.sleep(3600)
"""
NO_HANDSHAKE = """
from http import HTTPStatus
from wsapp import run
async def handler(websocket):
    pass
def process_request(connection, request):
    return connection.respond(HTTPStatus.INTERNAL_SERVER_ERROR, "no database today")
run(handler, process_request=process_request)
"""
BAD = {
    "ends at once": "raise SystemExit('no database today')\n",
    "is never ready": NEVER_READY,
    "has no handshake": NO_HANDSHAKE,
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_release_takes_nobody(site: ClusterSite, copy: Path, kind: str) -> None:
    (copy / "files" / "app.py").write_text(BAD[kind])
    app = site.settings["app"]
    with site.under_load(RATE, 20) as outcome:
        site.write(app=app.replace("drain", "start_timeout=8, drain"))
        result = site.pyinfra()
        site.write(app=app)
        site.until(lambda: not site.ending())
    assert result.code == 1, result.output
    assert outcome["failed"] == {}
    assert outcome["codes"] == {}


def test_an_image_that_is_not_there_takes_nobody(site: ClusterSite) -> None:
    image = f"{site.cluster.registry}/ws:none"
    with site.under_load(RATE, 20) as outcome:
        site.kubectl("set", "image", "deployment/ws", f"app={image}")
        site.until(lambda: waits_for(site, "ImagePullBackOff"))
        # What serves is what is wanted, and what somebody else has asked for is taken back.
        site.release()
    assert outcome["failed"] == {}
    assert outcome["codes"] == {}


def waits_for(site: ClusterSite, reason: str) -> bool:
    states = (it["state"] for pod in site.pods() for it in pod["status"]["containerStatuses"])
    return any(state.get("waiting", {}).get("reason") == reason for state in states)


SOON = 1.0
"""Seconds after which a pod that is killed costs nobody a handshake any more."""


def test_a_pod_that_is_killed_takes_its_own_clients(site: ClusterSite) -> None:
    lost = site.pods()[0]
    with site.under_load(RATE, HELD) as outcome:
        held = site.connections()[lost["metadata"]["name"]]
        killed = time.time()
        signal(site, "KILL", lost)
        site.until(lambda: restarts(site, lost) == 1)
        site.until(lambda: len(ready(site)) == 2)
    assert set(outcome["codes"]) == {"1006"}
    # Some of those that it had were only passing by.
    assert HELD // 2 <= outcome["codes"]["1006"] <= held
    late = [at for at in outcome["failed_at"] if not killed - SOON < at < killed + SOON]
    assert late == [], outcome["failed"]


def signal(site: ClusterSite, name: str, pod: dict[str, Any]) -> None:
    """Send a signal to the process of a pod."""
    pid = f"podman inspect --format '{{{{.State.Pid}}}}' {site.container(pod)}"
    site.ssh(f"kill -{name} $({pid})")


def status(site: ClusterSite, pod: dict[str, Any]) -> dict[str, Any]:
    """Return the present status of a pod's container."""
    (now,) = (it for it in site.pods() if it["metadata"]["uid"] == pod["metadata"]["uid"])
    found: dict[str, Any] = now["status"]["containerStatuses"][0]
    return found


def restarts(site: ClusterSite, pod: dict[str, Any]) -> int:
    count: int = status(site, pod)["restartCount"]
    return count


def ready(site: ClusterSite) -> list[dict[str, Any]]:
    return [
        pod
        for pod in site.pods()
        if all(status["ready"] for status in pod["status"]["containerStatuses"])
    ]


def test_a_process_that_hangs_is_killed_before_its_drain(site: ClusterSite) -> None:
    hung = min(site.pods(), key=lambda pod: restarts(site, pod))
    signal(site, "STOP", hung)
    site.until(lambda: restarts(site, hung))
    site.until(lambda: len(ready(site)) == 2)
    assert status(site, hung)["lastState"]["terminated"]["exitCode"] == 137
    # With the pod's own time to end, it would have been there for 29 s.
    about = f"--field-selector=involvedObject.name={hung['metadata']['name']}"
    events = site.objects("events", about)
    (killed,) = [it for it in events if "failed liveness probe" in it["message"]]
    began = datetime.fromisoformat(killed["lastTimestamp"])
    ended = status(site, hung)["lastState"]["terminated"]["finishedAt"]
    assert (datetime.fromisoformat(ended) - began).total_seconds() < 20


def test_a_renewed_certificate_disconnects_nobody(site: ClusterSite) -> None:
    before = site.cluster.certificate()
    with clients(site, 10) as held:
        for path in (before.certificate, before.key):
            Path(path).unlink()
        secret = host.tls_secret(NAMESPACE, "ws-tls", site.cluster.certificate())
        file = site.folder / "secret.json"
        file.write_text(json.dumps(secret))
        site.kubectl("replace", "-f", str(file))
        site.until(lambda: reaches(site))
        for client in held:
            client.send("still here")
            assert client.recv(60) == "still here"


def test_new_pods_of_haproxy_refuse_nobody_and_leave_clients_alone(site: ClusterSite) -> None:
    with site.under_load(RATE, HELD) as outcome:
        site.kubectl("rollout", "restart", "deployment/ws-proxy")
        site.rolled_out("ws-proxy")
        (old,) = site.ending()
        # It has been told to end, and goes on for those that it has.
        site.until(lambda: "Killing" in site.kubectl("get", "events", "-o=json"))
    assert outcome["failed"] == {}
    assert outcome["codes"] == {}
    # Nobody is left, so there is nothing to wait for.
    site.until(lambda: not site.ending())
    assert old


def test_a_field_that_kubernetes_does_not_know_is_refused(site: ClusterSite) -> None:
    file = site.folder / "wrong.json"
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "wrong"}}
    file.write_text(json.dumps(wrong | {"spec": {"ports": [{"prt": 80}]}}))
    said = site.kubectl("apply", "--server-side", "-f", str(file), code=1)
    assert 'unknown field "spec.ports[0].prt"' in said
