"""What an API server makes of an object before it stores it: defaults, and reasons to refuse it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from wsdeploy_sandbox.cluster.network import service_address
from wsdeploy_sandbox.cluster.selectors import selects
from wsdeploy_sandbox.cluster.store import Object, Store

SCHEMAS = Path("/usr/local/lib/cluster/schemas.json")
"""Kubernetes' own schemas, if the sandbox has brought them."""


class Refused(Exception):  # noqa: N818 - a request is
    """A request that can't be met, as a client is told."""

    def __init__(
        self, code: int, reason: str, message: str, causes: list[Object] | None = None
    ) -> None:
        self.code, self.reason, self.causes = code, reason, causes or []
        super().__init__(message)


def admit(store: Store, old: Object | None, new: Object) -> None:
    """Add defaults to an object. Raises Refused if it can't be stored."""
    encode_secret(new)
    for name in ("labels", "annotations"):
        if not new["metadata"].get(name, True):
            del new["metadata"][name]
    if not (problems := [*schema_problems(new)]):
        _default(store, old, new)
        problems = [*_problems(old, new)]
    if problems:
        named = f"{new['kind']} {json.dumps(new['metadata']['name'])}"
        causes = [{"reason": "FieldValueInvalid", "message": it} for it in problems]
        text = f"{named} is invalid: {'; '.join(problems)}"
        raise Refused(422, "Invalid", text, causes)


def encode_secret(value: Object) -> None:
    """Move what a Secret says in plain text to where Secrets have it."""
    if value["kind"] == "Secret" and (plain := value.pop("stringData", None)):
        encoded = {name: base64.b64encode(text.encode()).decode() for name, text in plain.items()}
        value["data"] = value.get("data", {}) | encoded


def _default(store: Store, old: Object | None, new: Object) -> None:
    spec: Object = new.get("spec", {})
    match new["kind"]:
        case "Deployment":
            spec.setdefault("replicas", 1)
            spec.setdefault("revisionHistoryLimit", 10)
            spec.setdefault("progressDeadlineSeconds", 600)
            spec.setdefault("strategy", {}).setdefault("type", "RollingUpdate")
            pod = spec["template"]["spec"]
            pod.setdefault("restartPolicy", "Always")
            pod.setdefault("terminationGracePeriodSeconds", 30)
            for container in pod["containers"]:
                for port in container.get("ports", ()):
                    # Part of what tells ports apart: who looks for its own by that needs it.
                    port.setdefault("protocol", "TCP")
            new.setdefault("status", {})
        case "Pod":
            spec.setdefault("terminationGracePeriodSeconds", 30)
            new.setdefault("status", {"phase": "Pending"})
        case "Service":
            spec.setdefault("type", "ClusterIP")
            if old is not None:
                spec.setdefault("clusterIP", old["spec"]["clusterIP"])
            if not spec.get("clusterIP"):
                used = {each["spec"]["clusterIP"] for each in store.list("Service")}
                spec["clusterIP"] = service_address(used)
            for port in spec["ports"]:
                port.setdefault("protocol", "TCP")
                port.setdefault("targetPort", port["port"])
            node = store.list("Node")[0]["status"]["addresses"][0]["address"]
            at = {"ingress": [{"ip": node}]} if spec["type"] == "LoadBalancer" else {}
            new["status"] = {"loadBalancer": at}
        case "Namespace":
            name = {"kubernetes.io/metadata.name": new["metadata"]["name"]}
            new["metadata"]["labels"] = new["metadata"].get("labels", {}) | name
            new["status"] = {"phase": "Active"}


def _problems(old: Object | None, new: Object) -> Iterator[str]:
    spec: Object = new.get("spec", {})
    match new["kind"]:
        case "ConfigMap" | "Secret" if old is not None and old.get("immutable"):
            if any(old.get(field) != new.get(field) for field in ("data", "binaryData")):
                yield "data: Forbidden: field is immutable when `immutable` is set"
            if not new.get("immutable"):
                yield "immutable: Forbidden: field is immutable when `immutable` is set"
        case "Deployment":
            labels = spec["template"]["metadata"].get("labels", {})
            if not selects(labels, spec["selector"]["matchLabels"]):
                yield "spec.template.metadata.labels: `selector` does not match template `labels`"
            if old is not None and old["spec"]["selector"] != spec["selector"]:
                yield "spec.selector: field is immutable"
            yield from _pod_problems(spec["template"]["spec"])
        case "Pod":
            yield from _pod_problems(spec)
        case "Service" if old is not None and old["spec"]["clusterIP"] != spec["clusterIP"]:
            yield "spec.clusterIP: may not change once set"
        case "PodDisruptionBudget" if {"minAvailable", "maxUnavailable"} <= spec.keys():
            yield "spec: minAvailable and maxUnavailable cannot be both set"


def _pod_problems(pod: Object) -> Iterator[str]:
    volumes = {each["name"] for each in pod.get("volumes", ())}
    grace = pod.get("terminationGracePeriodSeconds", 30)
    for container in pod["containers"]:
        for mount in container.get("volumeMounts", ()):
            if mount["name"] not in volumes:
                yield f'volumeMounts: Not found: "{mount["name"]}"'
        hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep")
        if hook and not 0 <= hook["seconds"] <= grace:
            yield "lifecycle.preStop.sleep: must be non-negative and less than or equal to grace"


TYPES: Mapping[str, type | tuple[type, ...]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "object": dict,
    "string": str,
}
"""Types of schemas, as JSON is read."""


@lru_cache(1)
def _schemas() -> Object:
    found: Object = json.loads(SCHEMAS.read_text()) if SCHEMAS.is_file() else {}
    return found


def schema_problems(value: Object) -> Iterator[str]:
    """Yield what Kubernetes' schema of an object does not allow; of an unknown kind, nothing."""
    group, _, version = value["apiVersion"].rpartition("/")
    short = group.partition(".")[0] or "core"
    for name, schema in _schemas().items():
        if name.endswith(f".{short}.{version}.{value['kind']}"):
            # Nobody may write a status with the rest.
            stated = {field: given for field, given in value.items() if field != "status"}
            yield from check(schema, stated, "")


def check(schema: Object, value: Any, path: str) -> Iterator[str]:
    """Yield where a value differs from a schema: fields that it has not, and types."""
    if "$ref" in schema:
        schema = _schemas().get(schema["$ref"].rpartition("/")[2], {})
    if "properties" in schema and isinstance(value, dict):
        for name, item in value.items():
            if name in schema["properties"]:
                yield from check(schema["properties"][name], item, f"{path}.{name}")
            else:
                here = f"{path}.{name}"[1:]
                yield f'strict decoding error: unknown field "{here}"'
        yield from (
            f"{path}.{name}: Required value"[1:]
            for name in schema.get("required", ())
            if name not in value
        )
        return
    kinds = schema.get("type") or [k for each in schema.get("oneOf", ()) for k in each["type"]]
    allowed = [kinds] if isinstance(kinds, str) else kinds
    fits = any(isinstance(value, TYPES[each]) for each in allowed)
    if allowed and not fits:
        yield f"{path[1:]}: {json.dumps(value)[:40]} is not of type {allowed[0]}"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from check(schema.get("items", {}), item, f"{path}[{number}]")
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for name, item in value.items():
            yield from check(schema["additionalProperties"], item, f"{path}.{name}")
