"""A stand-in for kubectl and the cluster behind it: objects in a dict, and pods that are played.

A run finds a kubectl that hands its words on to `Cluster`, which answers for kubectl and server
alike. To start Python for each would take most of a test's time.

Each look at pods lets the cluster go on by a step. New pods are made first, then they are ready,
or what else is played, then old ones end.
"""

import copy
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Object = dict[str, Any]

PROGRAM = """\
#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/{port}
body=
for word; do [ "$word" = --filename=- ] && body=$(cat); done
printf '%s\\0' "$#" "$@" "$body" >&3
read -r code <&3
if [ "$code" = 0 ]; then cat <&3; else cat <&3 >&2; fi
exit "$code"
"""


@dataclass
class Cluster:
    """A cluster as kubectl knows it."""

    objects: Object = field(default_factory=dict)
    """What is there, by kind and name."""
    asked: list[str] = field(default_factory=list)
    """Each command so far."""
    context: str = "staging"
    """The current context of kubectl's configuration."""
    contexts: set[str | None] = field(default_factory=set)
    """Those that commands were for; None for no other than the current one."""
    play: str = "ready"
    """What becomes of new pods."""
    absent: tuple[str, ...] = ()
    """Kinds that it does not have."""
    fails: dict[str, str] = field(default_factory=dict)
    """What a command that has these words says instead."""
    minor: str = "36+"
    """Its version of Kubernetes 1."""
    on_pods: Callable[[], object] = lambda: None
    """Called when a Deployment has been applied."""
    version: int = 0
    """Of the object that was stored last."""
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def install(self, path: Path) -> None:
        """Write the kubectl that hands its words on to this cluster, and answer it from now on."""
        path.write_text(PROGRAM.format(port=self.listener.getsockname()[1]))
        path.chmod(0o755)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("wb") as stream:
                data = b""
                while not _is_whole(data) and (more := connection.recv(1 << 16)):
                    data += more
                _, *words, body = data.decode().split("\0")[:-1]
                code, text = self.answer(words, body)
                stream.write(f"{code}\n{text}".encode())

    def answer(self, words: list[str], body: str) -> tuple[int, str]:
        """Return a command's exit code, and what it prints: on standard error if it fails."""
        plain = [word for word in words if not word.startswith("--")]
        options = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
        items = json.loads(body)["items"] if body else []
        what = [key(each) for each in items] if plain[0] == "delete" else []
        dry = ["dry"] if "dry-run" in options else []
        self.asked.append(" ".join([*plain, *what, *dry]))
        for part, said in self.fails.items():
            if part in " ".join(words):
                return 1, said
        if plain[0] != "config":
            self.contexts.add(options.get("context"))
        try:
            return 0, answer(self, plain, options, items)
        except RefusedError as refused:
            return 1, str(refused)


def _is_whole(data: bytes) -> bool:
    """Tell whether a request has come to its end: so many words, and what was on standard input."""
    count, _, rest = data.partition(b"\0")
    return data.endswith(b"\0") and rest.count(b"\0") == int(count or 0) + 1


GROUPS = {
    "Deployment": "deployments.apps",
    "ReplicaSet": "replicasets.apps",
    "Pod": "pods",
    "Lease": "leases.coordination.k8s.io",
    "Ingress": "ingresses.networking.k8s.io",
    "NetworkPolicy": "networkpolicies.networking.k8s.io",
    "PodDisruptionBudget": "poddisruptionbudgets.policy",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers.autoscaling",
    "HTTPRoute": "httproutes.gateway.networking.k8s.io",
    "Gateway": "gateways.gateway.networking.k8s.io",
    "BackendTrafficPolicy": "backendtrafficpolicies.gateway.envoyproxy.io",
    "ClientTrafficPolicy": "clienttrafficpolicies.gateway.envoyproxy.io",
    "Certificate": "certificates.cert-manager.io",
    "PodMonitor": "podmonitors.monitoring.coreos.com",
    "ScaledObject": "scaledobjects.keda.sh",
    "Service": "services",
    "Secret": "secrets",
    "ConfigMap": "configmaps",
    "ServiceAccount": "serviceaccounts",
    "Event": "events",
}
REVISION = "deployment.kubernetes.io/revision"


class RefusedError(Exception):
    """What the server does not do."""


def answer(cluster: Cluster, plain: list[str], options: dict[str, str], items: list[Object]) -> str:
    verb, *rest = plain
    text = ""
    if verb == "get":
        found = got(cluster, rest, options, items)
        one = len(found) == 1 and "ignore-not-found" in options
        if found or "ignore-not-found" not in options:
            text = json.dumps(found[0] if one else {"kind": "List", "items": found})
    elif verb == "apply":
        after = [applied(cluster, each) for each in items]
        if "dry-run" not in options:
            cluster.objects.update({key(each): each for each in after})
            if any(each["kind"] == "Deployment" for each in after):
                cluster.on_pods()
        after = [without_fields(each) for each in after]
        text = json.dumps(after[0] if len(after) == 1 else {"kind": "List", "items": after})
    elif verb in ("create", "replace"):
        text = json.dumps(written(cluster, verb, items[0]))
    elif verb == "delete":
        for each in items:
            delete(cluster.objects, key(each))
    elif verb == "version":
        told = {"major": "1", "minor": cluster.minor}
        text = json.dumps({"clientVersion": told, "serverVersion": told})
    elif verb == "config":
        text = cluster.context
    elif verb == "api-resources":
        text = "\n".join(name for kind, name in GROUPS.items() if kind not in cluster.absent)
    elif verb == "logs":
        text = "Traceback (most recent call last):\nRuntimeError: boom"
    return text


def got(
    cluster: Cluster, words: list[str], options: dict[str, str], items: list[Object]
) -> list[Object]:
    objects = cluster.objects
    kinds = [kind for kind, name in GROUPS.items() if name in (words or [""])[0].split(",")]
    if "ReplicaSet" in kinds or "Pod" in kinds:
        step(cluster)
    if items or len(words) > 1:
        names = [key(each) for each in items] or [f"{kinds[0]}/{words[1]}"]
        found = [objects[name] for name in names if name in objects]
    else:
        wanted = dict([options["selector"].split("=")]) if "selector" in options else {}
        found = [
            each
            for each in objects.values()
            if each["kind"] in kinds
            and wanted.items() <= each["metadata"].get("labels", {}).items()
        ]
    return found if "show-managed-fields" in options else [without_fields(each) for each in found]


def written(cluster: Cluster, verb: str, each: Object) -> Object:
    before = cluster.objects.get(key(each))
    if verb == "create" and before:
        raise RefusedError("Error from server (AlreadyExists): it is there already")
    if verb == "replace":
        version = each["metadata"].get("resourceVersion")
        if before is None or before["metadata"]["resourceVersion"] != version:
            raise RefusedError("Error from server (Conflict): the object has been modified")
    after = cluster.objects[key(each)] = stored(cluster, each)
    return after


def key(each: Object) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


def without_fields(each: Object) -> Object:
    kept = {k: v for k, v in each["metadata"].items() if k != "managedFields"}
    return each | {"metadata": kept}


def stored(cluster: Cluster, each: Object) -> Object:
    cluster.version += 1
    return each | {"metadata": each["metadata"] | {"resourceVersion": str(cluster.version)}}


def delete(objects: Object, name: str) -> None:
    if name.startswith("Pod/"):
        # It closes its connections first: it is there for one more look.
        objects[name]["metadata"]["deletionTimestamp"] = "2026-11-30T10:00:00Z"
        return
    gone = objects.pop(name, None)
    if gone:
        kind, _, plain = name.partition("/")
        for other, each in [*objects.items()]:
            owners = each["metadata"].get("ownerReferences", [])
            if any((it["kind"], it["name"]) == (kind, plain) for it in owners):
                delete(objects, other)


def fields(value: object) -> Object:
    if isinstance(value, dict):
        return {f"f:{name}": fields(item) for name, item in value.items()}
    return {}


def merged(before: Object, after: Object, owned: Object) -> Object:
    """What is there, with what is applied; what was applied before and is not now goes."""
    kept = {k: v for k, v in before.items() if k in after or f"f:{k}" not in owned}
    for name, item in after.items():
        old = kept.get(name)
        if isinstance(item, dict) and isinstance(old, dict):
            kept[name] = merged(old, item, owned.get(f"f:{name}", {}))
        else:
            kept[name] = item
    return kept


def applied(cluster: Cluster, each: Object) -> Object:
    before = cluster.objects.get(key(each))
    owned: Object = {}
    if before:
        for entry in before["metadata"].get("managedFields", []):
            owned = entry["fieldsV1"]
    after = merged(copy.deepcopy(before or {}), copy.deepcopy(each), owned)
    if after["kind"] == "Deployment":
        # What the server adds of its own.
        after["spec"].setdefault("replicas", 1)
        after["spec"]["template"]["spec"].setdefault("dnsPolicy", "ClusterFirst")
        after.setdefault("status", {})
    if after["kind"] == "Service":
        after["spec"].setdefault("sessionAffinity", "None")
    metadata = after["metadata"]
    metadata.setdefault("creationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    if before is None or before.get("spec") != after.get("spec"):
        metadata["generation"] = metadata.get("generation", 0) + 1
    told = {n: item for n, item in each.items() if n not in ("apiVersion", "kind")}
    told["metadata"] = {n: i for n, i in told["metadata"].items() if n not in ("name", "namespace")}
    entry = {"manager": "wsdeploy", "operation": "Apply", "fieldsV1": fields(told)}
    metadata["managedFields"] = [entry]
    return stored(cluster, after) if before != after else after


def step(cluster: Cluster) -> None:
    objects = cluster.objects
    for each in [it for it in objects.values() if "deletionTimestamp" in it["metadata"]]:
        if each.setdefault("looks", 1) > 1:
            del objects[key(each)]
        else:
            each["looks"] = 2
    for deployment in [each for each in objects.values() if each["kind"] == "Deployment"]:
        status = deployment["status"]
        current = replica_set(objects, deployment, cluster.play)
        sets = [e for e in objects.values() if e["kind"] == "ReplicaSet" and is_of(e, deployment)]
        wanted = deployment["spec"]["replicas"]
        pods = [e for e in objects.values() if e["kind"] == "Pod" and is_of(e, current)]
        if len(pods) < wanted:
            for number in range(len(pods), wanted):
                pod = new_pod(current, number)
                objects[key(pod)] = pod
        else:
            play(current, pods, deployment)
        ready = current["status"].get("availableReplicas", 0)
        for each in sets:
            if each is current:
                each["spec"]["replicas"] = wanted
                each["status"]["replicas"] = wanted
            elif ready >= wanted or not each["status"].get("readyReplicas"):
                each["spec"]["replicas"] = 0
                each["status"] = {"replicas": 0}
                for pod in [e for e in objects.values() if e["kind"] == "Pod" and is_of(e, each)]:
                    del objects[key(pod)]
        deployment["metadata"].setdefault("annotations", {})[REVISION] = revision(current)
        # The cluster keeps no more than so many earlier ones.
        limit = deployment["spec"]["revisionHistoryLimit"]
        old = sorted(
            (e for e in sets if not e["spec"]["replicas"]), key=lambda e: -int(revision(e))
        )
        for each in old[limit:]:
            del objects[key(each)]
        total = sum(each["status"].get("replicas", 0) for each in sets)
        status |= {
            "observedGeneration": deployment["metadata"]["generation"],
            "updatedReplicas": current["status"].get("replicas", 0),
            "replicas": total,
        }


def revision(each: Object) -> str:
    found: str = each["metadata"]["annotations"][REVISION]
    return found


def is_of(each: Object, parent: Object) -> bool:
    owners = each["metadata"].get("ownerReferences", [])
    return any(it["name"] == parent["metadata"]["name"] for it in owners)


def replica_set(objects: Object, deployment: Object, how: str) -> Object:
    """The ReplicaSet of a Deployment's template, which is made if it is not there."""
    name = deployment["metadata"]["name"]
    template = deployment["spec"]["template"]
    text = json.dumps(template, sort_keys=True)
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    sets = [e for e in objects.values() if e["kind"] == "ReplicaSet" and is_of(e, deployment)]
    newest = max((int(revision(each)) for each in sets), default=0)
    made = objects.get(f"ReplicaSet/{name}-{mark}")
    if made is None:
        inside = copy.deepcopy(template)
        inside["metadata"]["labels"]["pod-template-hash"] = mark
        made = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "play": how,
            "metadata": {
                "name": f"{name}-{mark}",
                "labels": inside["metadata"]["labels"],
                "annotations": {},
                "creationTimestamp": "2026-11-30T10:00:00Z",
                "ownerReferences": [{"kind": "Deployment", "name": name}],
            },
            "spec": {"replicas": 0, "template": inside},
            "status": {},
        }
        objects[key(made)] = made
    noted = dict(deployment["metadata"].get("annotations", {}))
    if REVISION not in made["metadata"]["annotations"] or int(revision(made)) < newest:
        noted[REVISION] = str(newest + 1)
    else:
        noted[REVISION] = revision(made)
    made["metadata"]["annotations"] = noted
    return made


def new_pod(replica_set: Object, number: int) -> Object:
    template = replica_set["spec"]["template"]
    name = replica_set["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": template["metadata"]
        | {
            "name": f"{name}-{number}",
            "ownerReferences": [{"kind": "ReplicaSet", "name": name}],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    }


CRASH = {
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
    "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
    "restartCount": 1,
}
PULL = {
    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
    "restartCount": 0,
}
KILLED = {
    "state": {"running": {}},
    "lastState": {"terminated": {"exitCode": 137, "reason": "Error"}},
    "restartCount": 1,
}


def play(current: Object, pods: list[Object], deployment: Object) -> None:
    """Let the new pods go on, as was to be played when they were new."""
    how = current["play"]
    bad = {"crash": CRASH, "pull": PULL, "killed": KILLED}.get(how)
    wanted = len(pods)
    status = {"replicas": wanted}
    if bad:
        for pod in pods:
            container = {"name": pod["spec"]["containers"][0]["name"], "ready": False, **bad}
            pod["status"] = {"phase": "Running", "containerStatuses": [container]}
    elif how == "slow":
        pass
    elif how == "late":
        condition = {
            "type": "Progressing",
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "message": "has timed out progressing.",
        }
        deployment["status"]["conditions"] = [condition]
    else:
        deployment["status"].pop("conditions", None)
        status |= {"readyReplicas": wanted, "availableReplicas": wanted}
        for pod in pods:
            container = {
                "name": pod["spec"]["containers"][0]["name"],
                "ready": True,
                "state": {"running": {}},
                "restartCount": 0,
            }
            pod["status"] = {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [container],
            }
    current["status"] = status
