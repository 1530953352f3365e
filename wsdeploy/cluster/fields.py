"""Which fields of an object are ours: what an object is brought back to is applied as it was. Pure.

`kubectl rollout undo` and `kubectl replace` would write the old values as somebody else's. Those
fields then stay when a later release has no use for them: a variable of a Secret that is gone keeps
all new pods from starting.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from wsdeploy.cluster import found
from wsdeploy.cluster.manifest import Object

RESTARTED = "metadata.annotations.kubectl.kubernetes.io/restartedAt"
"""What `kubectl rollout restart` adds: other pods, that run the same."""
DEFAULTS: list[tuple[str, Any]] = [
    ("defaultMode", 0o644),
    ("dnsPolicy", "ClusterFirst"),
    ("failureThreshold", 3),
    ("protocol", "TCP"),
    ("resources", {}),
    ("restartPolicy", "Always"),
    ("scheme", "HTTP"),
    ("schedulerName", "default-scheduler"),
    ("successThreshold", 1),
    ("terminationMessagePath", "/dev/termination-log"),
]
"""What the server itself adds to pods. It is whoever's who has made the object, if not by applying
it on the server."""
HASH = "pod-template-hash"
"""The label that the cluster gives the pods of each ReplicaSet."""


def ours(live: Object) -> Object:
    """Return an object as it was last applied by us.

    What the cluster has not noted is taken from the object itself, without what only the cluster
    writes.
    """
    owned = _owned(live)
    if owned is None:
        return found.plain(live)
    head: Object = {name: live[name] for name in ("apiVersion", "kind")}
    metadata = {n: live["metadata"][n] for n in ("name", "namespace") if n in live["metadata"]}
    kept: Object = _extract(live, owned)
    return head | kept | {"metadata": kept.get("metadata", {}) | metadata}


def owns(live: Object, *path: str) -> bool:
    """Tell whether a field is ours, as far as that is known."""
    fields = _owned(live)
    if fields is None:
        return True
    for name in path:
        if f"f:{name}" not in fields:
            return False
        fields = fields[f"f:{name}"]
    return True


def with_template(deployment: Object, replica_set: Object) -> Object:
    """Return a Deployment as we applied it, with the pods of one of its ReplicaSets."""
    wanted = ours(deployment)
    told = dict(wanted["metadata"].get("annotations") or {})
    for name in (found.RELEASE, found.COMMIT, found.BY, found.SINCE, found.PREVIOUS):
        told.pop(name, None)
        if value := found.annotation(replica_set, name):
            told[name] = value
    wanted["metadata"] = wanted["metadata"] | {"annotations": told}
    wanted["spec"] = wanted["spec"] | {"template": template(replica_set)}
    return wanted


def template(each: Object) -> Object:
    """Return the template for pods of a Deployment or ReplicaSet: the same in both."""
    made: Object = copy.deepcopy(each["spec"]["template"])
    metadata = made.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH}
    noted = metadata.get("annotations") or {}
    made["metadata"] = {"labels": labels, **({"annotations": noted} if noted else {})}
    return made


def of_others(live: Object, wanted: Object) -> dict[str, list[str]]:
    """Return what others have added to a Deployment's pods, by who has, as the cluster knows them.

    What we apply takes the place of theirs, and is no addition.
    """
    added: dict[str, list[str]] = {}
    for entry in live["metadata"].get("managedFields") or []:
        manager = str(entry.get("manager"))
        if manager == found.MANAGER or entry.get("subresource"):
            continue
        below = (entry.get("fieldsV1") or {}).get("f:spec", {}).get("f:template")
        if below:
            template = (live["spec"]["template"], wanted["spec"]["template"])
            added.setdefault(manager, []).extend(_added(below, *template, ""))
    return {manager: sorted({*paths}) for manager, paths in added.items() if paths}


def _added(fields: Mapping[str, Any], live: Any, wanted: Any, path: str) -> Iterator[str]:
    """Yield the paths of fields that are there, and not among what is wanted."""
    for name, inner in fields.items():
        if name == ".":
            continue
        place, theirs, ours = _below(name, live, wanted, path)
        if theirs is None or place == RESTARTED:
            continue
        if ours is not None or (name.startswith("f:") and isinstance(theirs, Mapping) and inner):
            yield from _added(inner, theirs, ours, place)
        elif (name.partition(":")[2], theirs) not in DEFAULTS:
            yield place


def _below(name: str, live: Any, wanted: Any, path: str) -> tuple[str, Any, Any]:
    """Return where a field is, and what is there and wanted; None for nothing."""
    kind, _, text = name.partition(":")
    if kind == "f":
        return f"{path}.{text}" if path else text, _field(live, text), _field(wanted, text)
    if kind == "k":
        told_by = json.loads(text)
        shown = ", ".join(map(str, told_by.values()))
        return f"{path}[{shown}]", _item(live, told_by), _item(wanted, told_by)
    # An item of a set. What is known by its place is in no template for pods.
    value = json.loads(text) if kind == "v" else None
    return f"{path}[{text}]", _member(live, value), _member(wanted, value)


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _member(items: Any, value: Any) -> Any:
    return value if isinstance(items, list) and value in items else None


def _item(items: Any, told_by: Mapping[str, Any]) -> Any:
    """Return the item of a list; what it is told apart by may be the server's default."""
    fitting = (
        each
        for each in (items if isinstance(items, list) else ())
        if all(each.get(name, value) == value for name, value in told_by.items())
    )
    return next(fitting, None)


def _owned(live: Object) -> Mapping[str, Any] | None:
    """Return the fields that we have applied, as the cluster notes them; None if it has not."""
    for entry in live["metadata"].get("managedFields") or []:
        if (entry.get("manager"), entry.get("operation")) == (found.MANAGER, "Apply") and not (
            entry.get("subresource")
        ):
            fields: Mapping[str, Any] = entry["fieldsV1"]
            return fields
    return None


def _extract(value: Any, fields: Mapping[str, Any]) -> Any:
    below = {name: inner for name, inner in fields.items() if name != "."}
    if not below and "." not in fields:
        return value
    if isinstance(value, Mapping):
        return {
            name[2:]: _extract(value[name[2:]], inner)
            for name, inner in below.items()
            if name[2:] in value
        }
    if isinstance(value, list):
        return [item for each in value for item in _extract_item(each, below)]
    return value


def _extract_item(item: Any, fields: Mapping[str, Any]) -> list[Any]:
    """Return an item of a list if it is ours: what of it is, with what it is told apart by."""
    for name, inner in fields.items():
        kind, _, text = name.partition(":")
        if kind == "v" and json.loads(text) == item:
            return [item]
        if kind == "k" and isinstance(item, Mapping):
            told_by = json.loads(text)
            if all(item.get(each) == value for each, value in told_by.items()):
                return [told_by | _extract(item, inner)] if inner else [item]
    return []
