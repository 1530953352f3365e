"""What has served on the hosts of a fleet, and what a rollback goes back to. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wsdeploy.plan import answers, summary
from wshost.requests import Commit, Serving


class NoWayBackError(Exception):
    """There is nothing to go back to; the message says what is missing."""


@dataclass(frozen=True)
class Record:
    """A generation that has served on a host."""

    generation: str
    release: str
    version: str
    """The same on all hosts for what one deployment brings to them."""
    listen: str
    """Where its processes listen, as launch.py takes it."""
    processes: int
    deployed: float
    """When a deployment brought it there, in seconds since 1970."""
    since: float
    """When it went live last."""
    by: str
    """Who let it go live."""
    commit: Commit | None = None
    """What its release was built from, if that is known."""

    def serving(self) -> Serving:
        """Return what serves while this generation does."""
        return {"generation": self.generation, "release": self.release, "commit": self.commit}


@dataclass(frozen=True)
class History:
    """What wshost.rollout.history answers."""

    live: str | None
    previous: str | None
    """What a rollback goes back to."""
    records: tuple[Record, ...]
    """The newest first."""

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> History:
        """Read the answer of the host's program. Raises TypeError or KeyError if it is none."""
        records = tuple(
            Record(**{**record, "commit": answers.commit(record.get("commit"))})
            for record in answer["records"]
        )
        return cls(answer["live"], answer["previous"], records)

    def to_json(self) -> dict[str, Any]:
        """Return it for programs that read what a run prints."""
        return asdict(self)

    def record(self, generation: str | None) -> Record | None:
        """Return the record of a generation, or None."""
        return next((each for each in self.records if each.generation == generation), None)

    def of_version(self, version: str) -> Record | None:
        """Return the record of a version: the live one's, or the newest."""
        found = [each for each in self.records if each.version == version]
        return next(
            (each for each in found if each.generation == self.live), next(iter(found), None)
        )


def targets(histories: Mapping[str, History], to: str | None) -> dict[str, Record]:
    """Return what each host goes back to; hosts that are to stay as they are are left out.

    histories: by host, all in one fleet. to: a generation or release to go back to, or None.

    Without `to`, it is the hosts with the newest version that go back, to what each had before it:
    a rollback that stopped half-way, or a deployment that did, is put right by the next one.
    Raises NoWayBackError if any of these hosts has nothing to go back to.
    """
    found = _named(histories, to) if to else _earlier(histories)
    for host, target in found.items():
        live = histories[host].record(histories[host].live)
        if live and _reached_at(live) != _reached_at(target):
            raise NoWayBackError(
                f"generation {target.generation} of {host} listens elsewhere "
                f"({_reached_at(target)}, not {_reached_at(live)}), where no proxy would reach it; "
                "put the settings of that time in the inventory, and deploy"
            )
    return {host: it for host, it in found.items() if it.generation != histories[host].live}


def _named(histories: Mapping[str, History], to: str) -> dict[str, Record]:
    matching = [
        record
        for history in histories.values()
        for record in history.records
        if to in (record.generation, record.release, record.version)
    ]
    if not matching:
        raise NoWayBackError(f"no host has a generation or release {to}; see wsdeploy.releases")
    version = max(matching, key=lambda record: record.deployed).version
    found = {host: history.of_version(version) for host, history in histories.items()}
    for host, record in found.items():
        if record is None:
            raise NoWayBackError(f"{host} has nothing of {to} any more; see wsdeploy.releases")
    return {host: record for host, record in found.items() if record is not None}


def _earlier(histories: Mapping[str, History]) -> dict[str, Record]:
    live = {host: history.record(history.live) for host, history in histories.items()}
    for host, record in live.items():
        if record is None:
            raise NoWayBackError(f"{host} has no record of what it serves; deploy first")
    newest = max((record for record in live.values() if record), key=lambda each: each.deployed)
    found = {}
    for host, history in histories.items():
        record = live[host]
        if record and record.version == newest.version:
            before = history.record(history.previous)
            if before is None:
                raise NoWayBackError(
                    f"{host} has nothing to go back to from generation {history.live}"
                )
            found[host] = before
    return found


def _reached_at(record: Record) -> str:
    """Return where proxies reach a generation, whichever it is."""
    kind, _, where = record.listen.partition(":")
    return "unix sockets" if kind == "unix" else f"{kind} {where}"


def listing(history: History) -> Iterator[str]:
    """Yield the lines of a table with what has served on a host, the newest first."""
    known = any(record.commit for record in history.records)
    rows = [("GENERATION", "RELEASE", "LIVE SINCE (UTC)", "BY", "", "COMMIT" if known else "")]
    for record in history.records:
        state = {history.live: "live", history.previous: "previous"}.get(record.generation, "")
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.since))
        commit = summary.commit(record.commit)
        rows.append((record.generation, record.release, since, record.by, state, commit))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield summary.readable("  ".join(cells).rstrip())
