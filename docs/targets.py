"""The table of what becomes of each setting, wherever the service runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from wsdeploy.cluster import keeping
from wsdeploy.platforms import verdicts
from wsdeploy.settings.platforms import PLATFORMS, Platform
from wsdeploy.settings.verdict import Verdict, kept

CLUSTERS = ("Own HAProxy", "Ingress", "HTTPRoute")
TARGETS = ("Hosts", *CLUSTERS, *(platform.title for platform in PLATFORMS))
CELLS = {"kept": "kept", "told": "*told*", "refused": "**refused**"}
GROUPS = {
    "": "The service",
    "firewall": "The firewall",
    "proxy": "The proxy",
    "app": "The app",
    "edge": "Who may connect",
    "tls": "Certificates",
}
"""The headings of settings that begin with the same word."""


def markdown() -> str:
    """Return two tables for each group of settings: what becomes of each, and by what."""
    return "\n".join(_lines()) + "\n"


def answers(setting: str) -> dict[str, Verdict]:
    """Return what becomes of a setting in each place."""
    row = keeping.ROWS[setting]
    found = dict(zip(CLUSTERS, row.verdicts, strict=True))
    found |= {platform.title: _on(platform, setting) for platform in PLATFORMS}
    return {"Hosts": kept(row.hosts), **found}


def _on(platform: type[Platform], setting: str) -> Verdict:
    """Return what a platform makes of a setting, or of the section that it is in."""
    known = verdicts.verdicts(platform)
    while setting not in known:
        setting = setting.rpartition(".")[0]
    return known[setting]


def _lines() -> Iterator[str]:
    def group(setting: str) -> str:
        first = setting.partition(".")[0]
        return GROUPS.get(first, GROUPS[""])

    for title, found in itertools.groupby(sorted(keeping.ROWS, key=_place), key=group):
        settings = [*found]
        yield from (f"## {title}", "")
        yield f"| Setting | {' | '.join(TARGETS)} |"
        yield "| --- |" + " --- |" * len(TARGETS)
        for setting in settings:
            cells = (CELLS[verdict.kind] for verdict in answers(setting).values())
            yield f"| `{setting}` | {' | '.join(cells)} |"
        yield from ("", "| Setting | By what, or with which words |", "| --- | --- |")
        for setting in settings:
            yield f"| `{setting}` | {'<br>'.join(_words(setting))} |"
        yield ""


def _place(setting: str) -> int:
    """Return where the group of a setting is; the order within stays."""
    first = setting.partition(".")[0]
    return [*GROUPS].index(first) if first in GROUPS else 0


def _words(setting: str) -> Iterator[str]:
    """Yield what is said of a setting, each with the places of which it is true."""
    places: dict[Verdict, list[str]] = {}
    for place, verdict in answers(setting).items():
        places.setdefault(verdict, []).append(place)
    for verdict, named in places.items():
        kind = "" if verdict.kind == "kept" else f" {CELLS[verdict.kind]}"
        yield f"{', '.join(_together(named))}{kind}: {verdict.words}"


def _together(places: list[str]) -> Iterator[str]:
    """Yield places by their names, or by that of all of their kind."""
    platforms = tuple(platform.title for platform in PLATFORMS)
    for kind, names in (("Hosts", ("Hosts",)), ("Clusters", CLUSTERS), ("Platforms", platforms)):
        found = [name for name in names if name in places]
        yield from [kind] if len(found) == len(names) else found
