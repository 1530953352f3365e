"""What a run would change in a cluster, in which order, and what goes afterwards. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wsdeploy.cluster import fields, found, manifest
from wsdeploy.cluster.found import Found, Key, key, plain
from wsdeploy.cluster.manifest import Object
from wsdeploy.plan.summary import readable

NOT_SHOWN = "(not shown)"
SHOWN = 3
"""Fields that are named of those that somebody has added."""
Stage = Literal["before", "pods", "after"]
"""When an object is applied: before the app's pods, which need it, with them, or after them."""

NEEDED = ("ServiceAccount", "ConfigMap", "Secret")
LAST = ("Ingress", "HTTPRoute")
"""What lets clients in, once all else is there."""
AT_LAST = "NetworkPolicy"
"""What closes to those who come in by another way, once nobody does."""

UNIQUE = re.compile(r"-[0-9a-f]{10}$")
"""What the name of an object ends with whose content never changes."""

REFERENCES = {
    "configMap": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "secret": ("Secret", "secretName"),
    "secretRef": ("Secret", "name"),
    "secretKeyRef": ("Secret", "name"),
}
"""How a pod's specification names objects: in volumes, for all variables, and for one."""


class ForeignError(Exception):
    """Objects are there that are not ours; the message says which."""


class MissingError(Exception):
    """Secrets are not there that the service needs; the message says which."""


class DroppedError(Exception):
    """The cluster does not take all fields of some objects; the message says which."""


@dataclass(frozen=True)
class Change:
    """An object that is new, or that is to be another one."""

    wanted: Object
    """As it is applied."""
    before: Object | None
    """As it is in the cluster."""
    after: Object
    """As it would be there."""

    @property
    def title(self) -> str:
        """Kind and name."""
        return " ".join(key(self.wanted))

    @property
    def verb(self) -> str:
        """What happens to it."""
        return "create" if self.before is None else "modify"


def changes(wanted: Iterable[Object], there: Found, planned: Sequence[Object]) -> list[Change]:
    """Return what would change, in the order of `wanted`.

    planned: the wanted objects as the cluster would have them, from a dry run on its server.
    """
    after = {key(each): each for each in planned}
    made = [Change(each, there.get(*key(each)), after[key(each)]) for each in wanted]
    return [each for each in made if each.before is None or _differ(each.before, each.after)]


def _differ(before: Object, after: Object) -> bool:
    return bool(plain(before) != plain(after))


def stage(change: Change, service: str) -> Stage:
    """Return when an object is applied."""
    kind, name = key(change.wanted)
    if kind in NEEDED or (kind == "Service" and change.before is None):
        return "before"
    return "pods" if (kind, name) == ("Deployment", service) else "after"


def ordered(found: Iterable[Change]) -> list[Change]:
    """Return changes with those last that let clients in, and then those that keep them out."""

    def place(each: Change) -> int:
        if each.before is not None and each.wanted["kind"] == AT_LAST:
            return 2
        return int(each.wanted["kind"] in LAST)

    return sorted(found, key=place)


def check(wanted: Iterable[Object], there: Found, *, take_over: bool) -> None:
    """Raise ForeignError for objects that somebody else has made, or another service of ours."""
    lines = []
    for each in wanted:
        live = there.get(*key(each))
        if live is None or found.is_ours(live, there.service):
            continue
        labels = live["metadata"].get("labels") or {}
        what = " ".join(key(each))
        if labels.get(found.MANAGED) == found.MANAGER:
            lines.append(f"{what} is of the service {labels.get(found.NAME)}; choose another name")
        elif not take_over:
            lines.append(f"{what} is there and not wsdeploy's")
    if lines:
        ways = "; give Settings another name, or take_over=True"
        raise ForeignError("; ".join(lines) + ("" if "choose" in lines[-1] else ways))


def check_domain(there: Found, domain: str, *, take_over: bool) -> None:
    """Raise ForeignError if the service that is there is another project's, of the same name."""
    name = there.service
    live = there.deployment(name) or there.get("Service", name)
    other = found.annotation(live, found.DOMAIN) if live else None
    if other not in (None, domain) and not take_over:
        raise ForeignError(
            f"{name} is there already, for {readable(str(other))}, and this inventory is for "
            f"{domain}; give Settings another name, or take_over=True if that service is to have "
            "this domain"
        )


def check_fields(wanted: Iterable[Object], planned: Iterable[Object]) -> None:
    """Raise DroppedError for fields that the cluster does not take.

    It refuses those of its own kinds, and drops those of others without a word: such as of a
    Gateway API that is older than a field of a route.
    """
    lines = []
    for each, after in zip(wanted, planned, strict=True):
        lines += [f"{' '.join(key(each))}: {path}" for path in _dropped(each, after)]
    if lines:
        wanted_version = "install a newer version of what brings its kind"
        raise DroppedError(f"the cluster knows no {'; no '.join(lines[:3])}; {wanted_version}")


def _dropped(wanted: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(after, Mapping):
        for name, item in wanted.items():
            if name in after:
                yield from _dropped(item, after[name], f"{path}.{name}" if path else name)
            elif item:
                yield f"{path}.{name}" if path else name
    elif isinstance(wanted, list | tuple) and isinstance(after, list) and len(wanted) == len(after):
        for number, (item, there) in enumerate(zip(wanted, after, strict=True)):
            yield from _dropped(item, there, f"{path}[{number}]")


def check_secrets(needed: Iterable[tuple[Object, Sequence[str]]], there: Found) -> None:
    """Raise MissingError for Secrets that the service needs, each with its keys."""
    lines = []
    for each, keys in needed:
        live = there.get(*key(each))
        lacking = [name for name in keys if name not in ((live or {}).get("data") or {})]
        if live is None:
            lines.append(f"Secret {each['metadata']['name']} is not there, with {', '.join(keys)}")
        elif lacking:
            lines.append(f"Secret {each['metadata']['name']} has no {', '.join(lacking)}")
    if lines:
        raise MissingError(f"{'; '.join(lines)}; make it first")


def additions(wanted: Iterable[Object], there: Found) -> Iterator[str]:
    """Yield a line for each Deployment whose pods somebody else has added something to."""
    for each in wanted:
        live = there.get(*key(each)) if each["kind"] == "Deployment" else None
        for manager, paths in (fields.of_others(live, each) if live else {}).items():
            more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
            name = each["metadata"]["name"]
            yield (
                f"Deployment {name}: {manager} has added {', '.join(paths[:SHOWN])}{more} to its "
                f"pods, which stays; kubectl edit deployment {name} takes it away"
            )


def leftovers(wanted: Iterable[Object], there: Found) -> list[Object]:
    """Return objects of ours that are not wanted any more, and that no pod can need again.

    ReplicaSets of earlier releases are what a rollback goes back to; what they name stays.
    """
    kept = {key(each) for each in wanted} | {*named(there)}
    return [each for each in there.ours if key(each) not in kept]


def named(there: Found, *, pods: bool = True) -> Iterator[Key]:
    """Yield the ConfigMaps and Secrets that pods name, or that a template for pods does.

    pods: whether those count that are there; they may be ending.
    """
    for each in there.of("Pod") if pods else ():
        yield from _named(each["spec"])
    for each in (*there.of("Deployment"), *_kept(there)):
        yield from _named(each["spec"]["template"]["spec"])
    for each in there.of("ControllerRevision"):
        template = ((each.get("data") or {}).get("spec") or {}).get("template") or {}
        yield from _named(template.get("spec") or {})


def _kept(there: Found) -> Iterator[Object]:
    """Yield ReplicaSets but for those that the cluster is about to delete: older than it keeps."""
    limits = {
        e["metadata"]["name"]: e["spec"].get("revisionHistoryLimit", 10)
        for e in there.of("Deployment")
    }
    names = {found.owner(each, "Deployment") for each in there.of("ReplicaSet")}
    for name in names:
        empty = 0
        current = there.current(name or "")
        for each in there.replica_sets(name or ""):
            if each is not current and not each["spec"].get("replicas"):
                empty += 1
                if empty > limits.get(name, 0):
                    continue
            yield each


def _named(value: Any) -> Iterator[Key]:
    """Yield what a pod's specification names, wherever it does."""
    if isinstance(value, list):
        for item in value:
            yield from _named(item)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if name in REFERENCES and isinstance(item, Mapping):
                kind, field = REFERENCES[name]
                if item.get(field):
                    yield kind, item[field]
            yield from _named(item)


def diff(change: Change, there: Found) -> tuple[list[str], list[str]]:
    """Return the lines of an object before and after, as they may be shown.

    Of a Secret, only the names of its values are, and which of them are new or others. What never
    changes has a new name for other content: it is shown beside what it takes the place of.
    """
    before = change.before or _predecessor(change.wanted, there)
    old: Object | None = plain(before) if before else None
    new: Object | None = plain(change.after)
    if change.after["kind"] == "Secret":
        old, new = _hidden(old, {}), _hidden(new, (old or {}).get("data") or {})
    texts = [manifest.text(_sorted(each)) if each else "" for each in (old, new)]
    first, second = (text.splitlines(keepends=True) for text in texts)
    return first, second


def unified(change: Change, there: Found) -> list[str]:
    """Return the difference as lines of a unified diff, without its head."""
    lines = difflib.unified_diff(*diff(change, there), n=3)
    return [line.rstrip("\n") for line in lines][2:]


def _hidden(secret: Object | None, before: Mapping[str, str]) -> Object | None:
    if secret is None:
        return None
    values = secret.get("data") or {}
    shown = {
        name: f"{NOT_SHOWN}, another one" if before.get(name, value) != value else NOT_SHOWN
        for name, value in values.items()
    }
    # Annotations may have them, too: kubectl apply notes the whole object in one.
    metadata = {k: v for k, v in secret["metadata"].items() if k in ("name", "namespace", "labels")}
    plain = {k: v for k, v in secret.items() if k in ("apiVersion", "kind", "type", "immutable")}
    return plain | {"metadata": metadata, "data": shown}


def _predecessor(wanted: Object, there: Found) -> Object | None:
    """Return what an object that never changes takes the place of: the newest of those."""
    kind, name = key(wanted)
    base = UNIQUE.sub("", name)
    if not wanted.get("immutable") or base == name:
        return None
    found = [
        each
        for each in there.ours
        if each["kind"] == kind and UNIQUE.sub("", each["metadata"]["name"]) == base
    ]
    return max(found, key=lambda each: str(each["metadata"].get("creationTimestamp")), default=None)


def _sorted(value: Any) -> Any:
    """Return an object whose keys are in one order, with its kind first."""
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    first = ("apiVersion", "kind", "metadata", "name")
    order = sorted(value, key=lambda name: (first.index(name) if name in first else 9, name))
    return {name: _sorted(value[name]) for name in order}


def noted(each: Object, **annotations: str | None) -> Object:
    """Return an object with annotations of ours; those that are None it does not have."""
    named = {f"{found.MANAGER}/{name}": value for name, value in annotations.items()}
    told = {**(each["metadata"].get("annotations") or {}), **named}
    kept = {name: value for name, value in told.items() if value is not None}
    return each | {"metadata": each["metadata"] | {"annotations": kept}}


def commit_text(commit: Mapping[str, object] | None) -> str | None:
    """Return a commit as an annotation has it."""
    return None if commit is None else json.dumps(commit, sort_keys=True)
