"""The page that Prometheus reads: all processes of all generations, and the host. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""

HEAD = re.compile(r"# (HELP|TYPE) ((?:wsapp|process)_\w+) ([^\r\n]*)")
SAMPLE = re.compile(
    r"((?:wsapp|process)_\w+)(?:\{((?:\w+=\"(?:[^\"\\\n]|\\.)*\",?)*)\})? "
    r"([+-]?(?:\d[\d.e+-]*|Inf|NaN))"
)
LABEL = re.compile(r'(\w+)="((?:[^"\\\n]|\\.)*)"')
SUFFIX = re.compile(r"_(?:bucket|sum|count)$")
SAMPLES_MOST = 500
"""Samples of a process that are passed on: an app chooses its close codes, and each is one more."""

Labels = Mapping[str, str]


@dataclass
class Family:
    """A metric with all its samples."""

    kind: str = "untyped"
    text: str = ""
    samples: list[str] = field(default_factory=list)


class Page:
    """Metrics, each family in one piece as Prometheus wants it."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def add(
        self, name: str, kind: str, text: str, value: float | None, labels: Labels | None = None
    ) -> None:
        """Add a sample of the host's own. Without a value, the family alone is there."""
        family = self._families.setdefault(name, Family(kind, text))
        if value is not None:
            family.samples.append(f"{name}{_labels(labels or {})} {_number(value)}")

    def take(self, text: str, labels: Labels) -> None:
        """Add what a process tells of itself, with labels that say which process it is.

        An app may answer with anything: only what has the names and the shape of wsapp's counts.
        """
        taken = 0
        for line in text.splitlines():
            if head := HEAD.fullmatch(line):
                family = self._families.setdefault(head[2], Family())
                if head[1] == "HELP":
                    family.text = head[3]
                else:
                    family.kind = head[3]
            elif (sample := SAMPLE.fullmatch(line)) and taken < SAMPLES_MOST:
                name = sample[1]
                base = SUFFIX.sub("", name)
                family = self._families.get(name) or self._families.setdefault(base, Family())
                own = [*LABEL.findall(sample[2] or "")]
                others = [f'{it}="{value}"' for it, value in own if it not in (*labels, "group")]
                given = ",".join((*others, _labels(labels)[1:-1]))
                family.samples.append(f"{name}{{{given}}} {sample[3]}")
                taken += 1

    def text(self) -> str:
        """Return the page."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, family in self._families.items():
            if family.text:
                yield f"# HELP {name} {family.text}"
            yield f"# TYPE {name} {family.kind}"
            yield from family.samples


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
