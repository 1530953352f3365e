"""Who owns which field of an object, and server-side apply, which goes by that. Pure.

Sets of fields are kept in `metadata.managedFields` as Kubernetes keeps them (FieldsV1), so that
kubectl can read them. Here they are sets of paths.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]

KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "conditions": (("type",),),
    "containers": (("name",),),
    "env": (("name",),),
    "imagePullSecrets": (("name",),),
    "initContainers": (("name",),),
    "ownerReferences": (("uid",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "volumeMounts": (("mountPath",),),
    "volumes": (("name",),),
}
"""Lists whose items are objects of their own, by what tells those apart. Others are one value."""

NOBODYS = {("f:apiVersion",), ("f:kind",)} | {
    ("f:metadata", f"f:{name}")
    for name in ("creationTimestamp", "generation", "name", "namespace", "resourceVersion", "uid")
}
"""Fields that no manager owns."""


NOTHING = object()
"""Stands for a field that is not there."""


class Conflict(Exception):  # noqa: N818 - as Kubernetes calls it
    """Fields are another manager's; the message names them as kubectl shows them."""

    def __init__(self, fields: Mapping[Path, str]) -> None:
        self.causes = [(f'conflict with "{who}"', shown(path)) for path, who in fields.items()]
        listing = ", ".join(f"{who}: {field}" for who, field in self.causes)
        many = "s" if len(self.causes) > 1 else ""
        super().__init__(f"Apply failed with {len(self.causes)} conflict{many}: {listing}")


def merge_key(name: str, items: list[Any]) -> tuple[str, ...] | None:
    """Return which fields tell the items of a list apart; None if it is one value."""
    for key in KEYS.get(name, ()):
        if items and all(isinstance(item, dict) and key[0] in item for item in items):
            return key
    return None


def identity(key: tuple[str, ...], item: Object) -> str:
    """Return the element of a path that stands for an item of a list."""
    default = {"protocol": "TCP"}
    found = {name: item.get(name, default.get(name)) for name in key}
    return "k:" + json.dumps(found, sort_keys=True, separators=(",", ":"))


def leaves(value: Object) -> dict[Path, Any]:
    """Return the values of an object that have an owner, by their paths."""
    return {
        path: leaf
        for path, leaf in _leaves(value, ())
        if path not in NOBODYS and path[:2] != ("f:metadata", "f:managedFields")
    }


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, (*path, f"f:{name}"))
    elif isinstance(value, list) and (key := merge_key(path[-1][2:], value)):
        for item in value:
            here = (*path, identity(key, item))
            yield (*here, "."), None
            yield from _leaves(item, here)
    else:
        yield path, value


def shown(path: Path) -> str:
    """Return a path as kubectl shows it: `.spec.template.spec.containers[name="app"].image`."""
    words = []
    for element in path:
        if element.startswith("k:"):
            found = json.loads(element[2:])
            words.append("[" + ",".join(f"{k}={json.dumps(v)}" for k, v in found.items()) + "]")
        elif element != ".":
            words.append(f".{element[2:]}")
    return "".join(words)


def encode(fields: set[Path]) -> Object:
    """Return a set of fields as FieldsV1."""
    tree: Object = {}
    for path in sorted(fields):
        at = tree
        for element in path:
            at = at.setdefault(element, {})
    return tree


def decode(tree: Object) -> set[Path]:
    """Return the set of fields that a FieldsV1 stands for."""

    def walk(at: Object, path: Path) -> Iterator[Path]:
        if not at and path:
            yield path
        for element, below in at.items():
            yield from walk(below, (*path, element))

    return set(walk(tree, ()))


def managers(value: Object) -> dict[tuple[str, str], set[Path]]:
    """Return the fields of each manager, by its name and its operation: `Apply` or `Update`."""
    entries = value["metadata"].get("managedFields", [])
    return {(e["manager"], e["operation"]): decode(e["fieldsV1"]) for e in entries}


def write_managers(value: Object, owned: Mapping[tuple[str, str], set[Path]], now: str) -> None:
    """Write down who owns which fields. An entry that stays the same keeps its time."""
    before = {(e["manager"], e["operation"]): e for e in value["metadata"].get("managedFields", [])}
    entries = []
    for (manager, operation), fields in owned.items():
        if not fields:
            continue
        entry = {
            "manager": manager,
            "operation": operation,
            "apiVersion": value["apiVersion"],
            "time": now,
            "fieldsType": "FieldsV1",
            "fieldsV1": encode(fields),
        }
        old = before.get((manager, operation))
        same = old is not None and old["fieldsV1"] == entry["fieldsV1"]
        entries.append(old if same else entry)
    value["metadata"]["managedFields"] = entries


def apply(live: Object | None, applied: Object, manager: str, now: str, *, force: bool) -> Object:
    """Return an object after server-side apply by a manager.

    What the manager applied before and no longer does is gone, unless another one has it, too.
    Raises Conflict if a field has another value by another manager, without `force`.
    """
    wanted = leaves(applied)
    if live is None:
        new = copy.deepcopy(applied)
        write_managers(new, {(manager, "Apply"): set(wanted)}, now)
        return new
    owned, there = managers(live), leaves(live)
    me = (manager, "Apply")
    differs = {path for path, value in wanted.items() if there.get(path, NOTHING) != value}
    foreign: dict[Path, str] = {}
    for who, fields in owned.items():
        if who != me:
            foreign |= dict.fromkeys(fields & differs, who[0])
            fields.difference_update(differs)
    if foreign and not force:
        raise Conflict(foreign)
    others = set().union(*(fields for who, fields in owned.items() if who != me))
    new = copy.deepcopy(live)
    _remove(new, owned.get(me, set()) - set(wanted) - others, ())
    new = {**merge(new, applied)}
    write_managers(new, {**owned, me: set(wanted)}, now)
    return new


def updated(old: Object | None, new: Object, manager: str, now: str) -> None:
    """Give a manager the fields that its update has changed."""
    before, after = leaves(old) if old else {}, leaves(new)
    owned = managers(old) if old else {}
    changed = {path for path, value in after.items() if before.get(path, NOTHING) != value}
    for fields in owned.values():
        fields.difference_update(changed)
        fields.intersection_update(after)
    me = (manager, "Update")
    owned[me] = owned.get(me, set()) | changed
    if old:
        new["metadata"]["managedFields"] = old["metadata"].get("managedFields", [])
    write_managers(new, owned, now)


def merge(live: Any, applied: Any, name: str = "") -> Any:
    """Return a value with all that is applied in it."""
    if isinstance(applied, dict) and isinstance(live, dict):
        both = dict(live)
        for field, value in applied.items():
            both[field] = merge(live[field], value, field) if field in live else value
        return both
    if isinstance(applied, list) and isinstance(live, list):
        key = merge_key(name, applied)
        if key and merge_key(name, live) == key:
            new = {identity(key, item): item for item in applied}
            old = {identity(key, item): item for item in live}
            merged = [merge(old[each], item) if each in old else item for each, item in new.items()]
            # Those of others stay, after those that were applied.
            return merged + [item for each, item in old.items() if each not in new]
    return applied


def _remove(value: Any, fields: set[Path], path: Path) -> bool:
    """Remove fields of a value, and return whether nothing is left of it."""
    if path in fields:
        return True
    if isinstance(value, dict) and value:
        for name in [*value]:
            if _remove(value[name], fields, (*path, f"f:{name}")):
                del value[name]
        return not value
    if isinstance(value, list) and path and (key := merge_key(path[-1][2:], value)):
        kept = []
        for item in value:
            here = (*path, identity(key, item))
            gone = _remove(item, fields, here)
            if not (gone or (*here, ".") in fields):
                kept.append(item)
        value[:] = kept
        return not value
    return False


def strategic(live: Any, patch: Any, name: str = "") -> Any:
    """Return a value after a strategic merge patch."""
    if isinstance(patch, dict):
        if patch.get("$patch") == "replace":
            return {field: value for field, value in patch.items() if field != "$patch"}
        both = dict(live) if isinstance(live, dict) else {}
        for field, value in patch.items():
            if field.startswith("$"):
                continue
            if value is None:
                both.pop(field, None)
            else:
                both[field] = strategic(both.get(field), value, field)
        return both
    key = merge_key(name, patch) if isinstance(patch, list) else None
    if key and isinstance(live, list):
        items = {identity(key, item): item for item in live}
        for item in patch:
            which = identity(key, item)
            if item.get("$patch") == "delete":
                items.pop(which, None)
            else:
                items[which] = strategic(items.get(which), item)
        return [*items.values()]
    return patch


def merge_patch(live: Any, patch: Any) -> Any:
    """Return a value after a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    both = dict(live) if isinstance(live, dict) else {}
    for field, value in patch.items():
        if value is None:
            both.pop(field, None)
        else:
            both[field] = merge_patch(both.get(field), value)
    return both


def json_patch(live: Object, operations: list[Object]) -> Object:
    """Return an object after a JSON patch (RFC 6902) of add, replace, remove and test.

    Raises LookupError if a path is not there, and ValueError for another operation.
    """
    new = copy.deepcopy(live)
    for each in operations:
        words = [w.replace("~1", "/").replace("~0", "~") for w in each["path"].split("/")[1:]]
        at: Any = new
        for word in words[:-1]:
            at = at[int(word)] if isinstance(at, list) else at[word]
        last: Any = words[-1]
        if isinstance(at, list):
            last = len(at) if last == "-" else int(last)
        match each["op"]:
            case "add" if isinstance(at, list):
                at.insert(last, each["value"])
            case "add" | "replace":
                at[last] = each["value"]
            case "remove":
                del at[last]
            case "test":
                if at[last] != each["value"]:
                    raise LookupError(f"{each['path']} has another value")
            case other:
                raise ValueError(f"{other} is not known")
    return new
