"""Each result file as a table. Pure."""

from __future__ import annotations

from bench.report.goals import number
from bench.results import Result


def table(result: Result) -> str:
    """Return all measurements of a result as a table in Markdown."""
    lines = [
        "| | Unit | Median | Lowest | Highest | Rounds |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in result.measurements.items():
        cells = (name, found.unit, *map(number, (found.median, found.low, found.high)))
        lines.append(f"| {' | '.join(cells)} | {len(found.samples)} |")
    return "\n".join(lines)


def origin(result: Result) -> str:
    """Return in one line what was measured, where and when."""
    machine = result.machine
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return (
        f"Commit `{result.commit}`, {result.taken}, {machine['processors']} processors "
        f"({machine['model']}), {machine['memory']} GiB, Linux {machine['kernel']}; {versions}."
    )


def notes(result: Result) -> str:
    """Return what else is to be known of a result, as a list; empty if there is nothing."""
    return "\n".join(
        f"- {name}: {value if isinstance(value, str) else number(value)}"
        for name, value in result.notes.items()
    )
