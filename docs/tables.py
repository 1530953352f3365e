"""The tables of the documentation that are made from the source, so that they are never wrong.

python docs/tables.py            writes them into docs/reference/*.md and others of docs
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from docs import targets
from wsapp.config import VARIABLES, Config
from wsapp.metrics import Metrics, render
from wsapp.process import process_numbers
from wsdeploy.plan.capacity import planner
from wsdeploy.settings import reference
from wsdeploy.settings.platforms import PLATFORMS

PAGES = Path(__file__).parent


def main() -> None:
    """Write all pages anew."""
    for name in TABLES:
        page = PAGES / name
        page.write_text(written(name, page.read_text()))


def written(name: str, text: str) -> str:
    """Return a page with what is between its markers made anew."""
    return reference.written(text, TABLES[name]())


def settings() -> str:
    """Return the tables of all settings, with links where they name a page."""
    return re.sub(r"docs/([\w/-]+)\.md", _link, reference.markdown())


def environment() -> str:
    """Return a row for each variable that wsapp reads, from the docstrings of its fields."""
    rows = ["| Variable | Default | What it does |", "| --- | --- | --- |"]
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
    found = {}
    for field, text in reference.docstrings(Config).items():
        variable, _, about = text.partition(": ")
        if variable.startswith("`"):
            found[variable.strip("`")] = (_shown(defaults[field]), about[:1].upper() + about[1:])
    assert found.keys() == {*VARIABLES, "SUPERVISOR_PROCESS_NAME", "SUPERVISOR_GROUP_NAME"}
    rows += [f"| `{name}` | {default} | {about} |" for name, (default, about) in found.items()]
    return "\n".join(rows) + "\n"


def metrics() -> str:
    """Return a row for each metric, from what wsapp says of it."""
    return "\n".join(_metrics()) + "\n"


def platforms() -> str:
    """Return what each platform can be told itself."""
    return "\n".join(map(reference.table, PLATFORMS))


def _metrics() -> Iterator[str]:
    yield "| Metric | Type | What it is |"
    yield "| --- | --- | --- |"
    about = ""
    for line in render(Metrics(), process_numbers()).splitlines():
        if line.startswith("# HELP "):
            about = line.split(" ", 3)[3]
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            yield f"| `{name}` | {kind} | {about} |"


def _link(match: re.Match[str]) -> str:
    path = match.group(1)
    heading = (PAGES / f"{path}.md").read_text().partition("\n")[0]
    return f"[{heading.removeprefix('# ')}](../{path}.md)"


def _shown(value: object) -> str:
    match value:
        case None | "" | ():
            return "none"
        case bool():
            return f"`{int(value)}`"
        case float():
            return f"`{value:g}`"
    return f"`{value}`"


TABLES: dict[str, Callable[[], str]] = {
    "operate/capacity.md": planner.table,
    "reference/environment.md": environment,
    "reference/metrics.md": metrics,
    "reference/platforms.md": platforms,
    "reference/settings.md": settings,
    "reference/targets.md": targets.markdown,
}
"""Pages of docs, and what stands between their markers."""

if __name__ == "__main__":
    main()
