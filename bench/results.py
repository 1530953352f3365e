"""Result files: every number in docs/benchmarks.md comes out of one of them."""

from __future__ import annotations

import datetime
import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import machine

FOLDER = Path(__file__).with_name("results")
QUICK, BEFORE = "quick", "before"
"""Folders for a quick run's results, and for those of the whole run before the last one."""
PACKAGES = ("pyinfra", "websockets", "uvloop")


@dataclass(frozen=True)
class Measurement:
    """One thing, measured several times."""

    unit: str
    """Of the samples, such as "s" or "messages/s"."""
    samples: list[float]
    """In the order in which they were taken."""

    @property
    def median(self) -> float:
        """The one to compare by: a noisy neighbour does not move it."""
        return statistics.median(self.samples)

    @property
    def low(self) -> float:
        """The least of the samples."""
        return min(self.samples)

    @property
    def high(self) -> float:
        """The largest of the samples."""
        return max(self.samples)


@dataclass(frozen=True)
class Result:
    """What one run of one part measured, on what."""

    commit: str
    """What was measured; with a + if files differed from it."""
    taken: str
    """The day, as 2026-11-21."""
    quick: bool
    """Whether it was the short run, of `make bench-quick`."""
    machine: dict[str, str | int]
    versions: dict[str, str]
    measurements: dict[str, Measurement]
    notes: dict[str, str | float | int] = field(default_factory=dict)
    """What else there is to know: counts, bounds, what was left out."""


def alternately(
    contenders: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Return what each contender measured, in each round.

    They take turns, and another one begins each round: what happens on the machine meanwhile, and
    what one leaves in its caches for the next, is shared evenly.
    """
    names = list(contenders)
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(contenders[name]())
    return found


def write(
    suite: str,
    part: str,
    measurements: Mapping[str, Measurement],
    notes: Mapping[str, str | float | int] | None = None,
    *,
    quick: bool = False,
    versions: Mapping[str, str] | None = None,
) -> Path:
    """Write a result, and return its file. A quick run's never replace those of a whole one.

    What a whole run replaces is kept, so that the two can be compared.

    versions: of what else was measured, such as nginx, next to this project's own packages.
    """
    result = Result(
        commit=machine.commit(),
        taken=datetime.datetime.now(datetime.UTC).date().isoformat(),
        quick=quick,
        machine=machine.describe(),
        versions=machine.versions(*PACKAGES) | dict(versions or {}),
        measurements=dict(measurements),
        notes=dict(notes or {}),
    )
    file = path(suite, part, QUICK if quick else "")
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and not quick:
        kept = path(suite, part, BEFORE)
        kept.parent.mkdir(parents=True, exist_ok=True)
        file.replace(kept)
    file.write_text(json.dumps(asdict(result), indent=1) + "\n")
    return file


def load(suite: str, part: str, which: str = "") -> Result:
    """Read a result, of the last whole run if nothing is said. Raises FileNotFoundError.

    which: QUICK or BEFORE.
    """
    content = json.loads(path(suite, part, which).read_text())
    content["measurements"] = {
        name: Measurement(**measured) for name, measured in content["measurements"].items()
    }
    return Result(**content)


def path(suite: str, part: str, which: str = "") -> Path:
    """Return the file of a result: of the last whole run, or QUICK, or BEFORE."""
    return FOLDER / which / suite / f"{part}.json"
