"""Which objects a request, a Service or a ReplicaSet means. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REQUIREMENT = re.compile(
    r"\s*(?:(?P<no>!)\s*)?(?P<key>[\w./-]+)\s*"
    r"(?:(?P<op>==|=|!=)\s*(?P<value>[\w.-]*)|(?P<word>in|notin)\s*\((?P<values>[^)]*)\))?\s*(?:,|$)"
)


def matches_labels(selector: str, labels: Mapping[str, str]) -> bool:
    """Tell whether labels fit a selector: `a=b,c!=d,e in (f,g),h,!i`. Raises ValueError."""
    at = 0
    while at < len(selector):
        found = REQUIREMENT.match(selector, at)
        if not found:
            raise ValueError(f"unable to parse requirement: {selector[at:]}")
        at = found.end()
        if not _fits(found, labels.get(found["key"])):
            return False
    return True


def _fits(found: re.Match[str], value: str | None) -> bool:
    if found["no"]:
        return value is None
    if found["op"]:
        return (value == found["value"]) != (found["op"] == "!=")
    if found["word"]:
        values = {each.strip() for each in found["values"].split(",")}
        return (value in values) != (found["word"] == "notin")
    return value is not None


def matches_fields(selector: str, value: Mapping[str, Any]) -> bool:
    """Tell whether fields of an object have the values of a selector: `metadata.name=ws`."""
    for requirement in filter(None, selector.split(",")):
        path, operator, wanted = re.split(r"(==|!=|=)", requirement, maxsplit=1)
        at: Any = value
        for name in path.split("."):
            at = at.get(name, "") if isinstance(at, Mapping) else ""
        if (str(at) == wanted) == (operator == "!="):
            return False
    return True


def selects(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether an object with labels is meant by a map of labels; an empty map means none."""
    return bool(wanted) and wanted.items() <= labels.items()
