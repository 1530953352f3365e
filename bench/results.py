"""Samples of one run, their file, and the tables of docs/benchmarks.md that come out of it."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.host import PROJECT, Host

FILE = Path(__file__).with_name("results.json")
"""The samples of the run that docs/benchmarks.md shows."""
PAGE = PROJECT / "docs" / "benchmarks.md"
SERVICE = ("wsdeploy", "wshost", "wsapp", "files")
"""What is deployed."""
BEGIN, END = "<!-- tables: `make bench` writes them -->", "<!-- end of tables -->"


@dataclass
class Samples:
    """What one run measured, and on what."""

    taken: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By measure and contender, in the order in which they were taken."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Commit, date, machine, versions, and what else there is to know."""

    def add(self, measure: str, contender: str, value: float) -> None:
        """Add one sample."""
        self.taken.setdefault(measure, {}).setdefault(contender, []).append(float(value))

    def ratios(self, measure: str, contender: str, other: str) -> list[float]:
        """Return the ratio of each round: what slowed a round down slowed both of its parts.

        A contender that was not measured has none.
        """
        found = self.taken.get(measure, {})
        pairs = zip(found.get(contender, []), found.get(other, []), strict=False)
        return [one / two for one, two in pairs]

    def write(self, file: Path) -> None:
        """Write the samples as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")


def load(file: Path) -> Samples:
    """Read the samples of a run."""
    return Samples(**json.loads(file.read_text()))


def describe(hosts: Sequence[Host]) -> dict[str, Any]:
    """Return what a run measures and where: commit, date, machine and versions.

    The commit is the last one that changed the service, with a + if its files differ from it.
    """
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    commit = _git("log", "-1", "--format=%h", "--abbrev=10", "--", *SERVICE)
    changed = _git("status", "--porcelain", "--", *SERVICE)
    versions = {
        line
        for host in hosts
        for line in host.shell(
            f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {host.proxy} openssl python3\n"
            "echo caddy $(/opt/caddy/caddy version)"
        ).splitlines()
    }
    return {
        "commit": commit + ("+" if changed else ""),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} processors, {pages / 2**30:.0f} GiB,"
        f" Linux {platform.release()}, clients on Python {platform.python_version()}",
        "versions": sorted(" ".join(line.split()[:2]) for line in versions),
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments), cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def publish(tables: str, page: Path = PAGE) -> None:
    """Put the tables of a run between the markers of the page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def spread(samples: Sequence[float]) -> str:
    """Return the median of samples with the lowest and highest, or a dash without samples."""
    if not samples:
        return "-"
    middle, low, high = (number(of(samples)) for of in (statistics.median, min, max))
    return middle if low == high else f"{middle} ({low} to {high})"


def number(value: float) -> str:
    """Return a number with two or three digits that count.

    >>> [number(x) for x in (0.0823, 0.25, 1.804, 24.04, 199.6, 5912, 0)]
    ['0.08', '0.25', '1.80', '24.0', '200', '5,912', '0']
    """
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
