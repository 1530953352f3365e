"""Each result file as a table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.report.goals import Load, number
from bench.results import Result

TIMES = {
    "Clients": ("clients",),
    "App: Python": ("app, Python",),
    "App: the rest": ("app, kernel", "app, uvloop", "app, C libraries"),
    "Proxy: kernel": ("proxy, kernel",),
    "Proxy: OpenSSL": ("proxy, OpenSSL",),
    "Proxy: itself": ("proxy, itself",),
}
"""What takes a message's time, and what the profile calls it."""


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


def times(proxies: Mapping[str, str], load: Load) -> str:
    """Return what takes a message's time, ours next to the guide's, as a table in Markdown.

    proxies: their names in results, and what people call them. One that was not measured is left
    out.
    """
    titles = ["", *TIMES, "Sum"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for proxy, called in proxies.items():
        try:
            result = load("traffic", f"profile-{proxy}")
        except FileNotFoundError:
            continue
        for whose in ("ours", "guide"):
            taken = list(_taken(result, f"{whose}, TLS"))
            cells = (f"{called}, {whose}", *map(number, [*taken, sum(taken)]))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _taken(result: Result, contender: str) -> Iterator[float]:
    for parts in TIMES.values():
        found = (result.measurements.get(f"{contender}: {part}") for part in parts)
        yield sum(it.median for it in found if it)


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
