"""A stand-in for kubectl and the cluster behind it: objects in a file, and pods that are played.

As a program it is kubectl. Its cluster is the file that the variable CLUSTER names:

objects: what is there. asked: each command so far. play: what becomes of new pods. absent: kinds
that it does not have. fails: what a command that has these words says instead. minor: its version.

Each look at pods lets the cluster go on by a step. New pods are made first, then they are ready,
or what else is played, then old ones end.
"""

import copy
import hashlib
import json
import os
import sys
import time
from typing import Any

Object = dict[str, Any]

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


def main(words: list[str]) -> int:
    path = os.environ["CLUSTER"]
    with open(path) as file:
        cluster = json.load(file)
    plain = [word for word in words if not word.startswith("--")]
    options = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    cluster["asked"].append(" ".join([*plain, *(["dry"] if "dry-run" in options else [])]))
    text = sys.stdin.read() if "filename" in options else ""
    items = json.loads(text)["items"] if text else []
    code = 0
    try:
        for part, said in cluster.get("fails", {}).items():
            if part in " ".join(words):
                raise RefusedError(said)
        answer(cluster, plain, options, items)
    except RefusedError as refused:
        print(refused, file=sys.stderr)
        code = 1
    with open(f"{path}.new", "w") as file:
        json.dump(cluster, file)
    os.replace(f"{path}.new", path)
    return code


def answer(cluster: Object, plain: list[str], options: dict[str, str], items: list[Object]) -> None:
    verb, *rest = plain
    if verb == "get":
        found = got(cluster, rest, options, items)
        one = len(found) == 1 and "ignore-not-found" in options
        if found or "ignore-not-found" not in options:
            print(json.dumps(found[0] if one else {"kind": "List", "items": found}))
    elif verb == "apply":
        after = [applied(cluster, each) for each in items]
        if "dry-run" not in options:
            cluster["objects"].update({key(each): each for each in after})
        after = [without_fields(each) for each in after]
        print(json.dumps(after[0] if len(after) == 1 else {"kind": "List", "items": after}))
    elif verb in ("create", "replace"):
        print(json.dumps(written(cluster, verb, items[0])))
    elif verb == "delete":
        for each in items:
            delete(cluster["objects"], key(each))
    elif verb == "version":
        told = {"major": "1", "minor": cluster.get("minor", "36+")}
        print(json.dumps({"clientVersion": told, "serverVersion": told}))
    elif verb == "api-resources":
        absent = cluster.get("absent", [])
        print("\n".join(name for kind, name in GROUPS.items() if kind not in absent))
    elif verb == "logs":
        print("Traceback (most recent call last):\nRuntimeError: boom")


def got(
    cluster: Object, words: list[str], options: dict[str, str], items: list[Object]
) -> list[Object]:
    objects = cluster["objects"]
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


def written(cluster: Object, verb: str, each: Object) -> Object:
    before = cluster["objects"].get(key(each))
    if verb == "create" and before:
        raise RefusedError("Error from server (AlreadyExists): it is there already")
    if verb == "replace":
        version = each["metadata"].get("resourceVersion")
        if before is None or before["metadata"]["resourceVersion"] != version:
            raise RefusedError("Error from server (Conflict): the object has been modified")
    after = cluster["objects"][key(each)] = stored(cluster, each)
    return after


def key(each: Object) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


def without_fields(each: Object) -> Object:
    kept = {k: v for k, v in each["metadata"].items() if k != "managedFields"}
    return each | {"metadata": kept}


def stored(cluster: Object, each: Object) -> Object:
    cluster["version"] = cluster.get("version", 0) + 1
    return each | {"metadata": each["metadata"] | {"resourceVersion": str(cluster["version"])}}


def delete(objects: Object, name: str) -> None:
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


def applied(cluster: Object, each: Object) -> Object:
    before = cluster["objects"].get(key(each))
    owned: Object = {}
    if before:
        for entry in before["metadata"].get("managedFields", []):
            owned = entry["fieldsV1"]
    after = merged(copy.deepcopy(before) or {}, copy.deepcopy(each), owned)
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


def step(cluster: Object) -> None:
    objects = cluster["objects"]
    for deployment in [each for each in objects.values() if each["kind"] == "Deployment"]:
        status = deployment["status"]
        current = replica_set(objects, deployment, cluster.get("play", "ready"))
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
