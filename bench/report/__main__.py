"""Write docs/benchmarks.md, and the pictures beside it.

python -m bench.report
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench import results
from bench.machine import PROJECT
from bench.report import contents, goals, tables

PAGE = PROJECT / "docs" / "benchmarks.md"
INTRODUCTION = Path(__file__).with_name("introduction.md")
BOUNDS = Path(__file__).with_name("bounds.md")
TIMES = "<!-- times -->"
"""Where the table of a message's time goes among the words."""
PICTURES = PROJECT / "docs" / "benchmarks"


def main() -> None:
    """Read all results, and write."""
    PICTURES.mkdir(exist_ok=True)
    sections = [
        INTRODUCTION.read_text().strip(),
        goals.table(contents.GOALS, results.load, partial(results.load, which=results.BEFORE)),
        BOUNDS.read_text().strip().replace(TIMES, tables.times(contents.PROXIES, results.load)),
    ]
    for part in contents.PARTS:
        sections += [f"## {part.title}", part.text]
        for called, name in part.names.items():
            sections += [f"### {called}" if len(part.names) > 1 else "", *_found(part.suite, name)]
    PAGE.write_text("\n\n".join(filter(None, sections)) + "\n")


def _found(suite: str, name: str) -> Iterator[str]:
    """Yield what there is to say of a result."""
    try:
        result = results.load(suite, name)
    except FileNotFoundError:
        yield "Not measured yet."
        return
    for plot in contents.PLOTS:
        if (plot.suite, plot.part) == (suite, name):
            path = plot.draw(result, PICTURES)
            yield f"![{plot.title}]({path.relative_to(PAGE.parent)})"
    yield "<details><summary>All that was measured</summary>"
    yield tables.table(result)
    yield "</details>"
    yield tables.notes(result)
    yield f"{tables.origin(result)} Samples: {_link(results.path(suite, name))}."


def _link(path: Path) -> str:
    name = path.relative_to(PROJECT)
    return f"[`{name}`](../{name})"


if __name__ == "__main__":
    main()
