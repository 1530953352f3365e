"""What has served in a cluster, and what a rollback goes back to: its ReplicaSets. Pure."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from wsdeploy.cluster import found
from wsdeploy.cluster.found import Found
from wsdeploy.cluster.manifest import Object
from wsdeploy.plan import summary
from wsdeploy.plan.app.rollback import NoWayBackError
from wshost.requests import Commit


@dataclass(frozen=True)
class Record:
    """A revision of the app's pods."""

    revision: int
    release: str
    since: float
    """When it was applied last, in seconds since 1970."""
    by: str
    replicas: int
    """Pods of it that are there."""
    commit: Commit | None
    state: str
    """`live`, `previous`, or nothing."""
    replica_set: str


def records(there: Found) -> list[Record]:
    """Return the revisions that the cluster has kept, the newest first."""
    live = there.live(there.service) or there.current(there.service)
    sets = [each for each in there.replica_sets(there.service) if found.release(each)]
    previous = _previous(live, sets) if live is not None else None
    return [
        Record(
            revision=found.revision(each),
            release=found.release(each) or "",
            since=_since(each),
            by=found.annotation(each, found.BY) or "",
            replicas=int((each.get("status") or {}).get("replicas") or 0),
            commit=found.commit(each),
            state="live" if each is live else "previous" if each is previous else "",
            replica_set=each["metadata"]["name"],
        )
        for each in sets
    ]


def _previous(live: Object, sets: list[Object]) -> Object | None:
    """Return what served before: as it was noted, or else the revision before.

    A run that was killed leaves a revision in between that may have never served.
    """
    noted = found.annotation(live, found.PREVIOUS)
    others = (each for each in sets if each is not live)
    kept = next((each for each in others if each["metadata"]["name"] == noted), None)
    older = (each for each in sets if found.revision(each) < found.revision(live))
    return kept or next(older, None)


def _since(each: dict[str, Any]) -> float:
    # kubectl rollout restart makes another ReplicaSet with the notes of the one before.
    times = (found.annotation(each, found.SINCE), each["metadata"].get("creationTimestamp"))
    return max(map(_seconds, times))


def _seconds(time_text: str | None) -> float:
    try:
        return datetime.datetime.fromisoformat(time_text or "").timestamp()
    except ValueError:
        return 0


def target(there: Found, to: str | None) -> Record:
    """Return what to go back to. to: a revision or a release, or None for the one before.

    Raises NoWayBackError.
    """
    kept = records(there)
    if not kept:
        raise NoWayBackError(f"{there.service} has no revision in the cluster; deploy first")
    if to is None:
        before = next((each for each in kept if each.state == "previous"), None)
        if before is None:
            live = next((each for each in kept if each.state == "live"), kept[0])
            raise NoWayBackError(f"there is nothing to go back to from revision {live.revision}")
        return before
    fitting = [each for each in kept if to in (str(each.revision), each.release)]
    if not fitting:
        raise NoWayBackError(f"there is no revision or release {to}; see wsdeploy.releases")
    return fitting[0]


def listing(kept: list[Record]) -> Iterator[str]:
    """Yield the lines of a table of revisions."""
    known = any(each.commit for each in kept)
    rows = [
        ("REVISION", "RELEASE", "SINCE (UTC)", "BY", "PODS", "", "COMMIT" if known else ""),
        *(
            (
                str(each.revision),
                each.release,
                time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each.since)),
                each.by,
                str(each.replicas),
                each.state,
                summary.commit(each.commit),
            )
            for each in kept
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield summary.readable("  ".join(cells).rstrip())


def to_json(kept: list[Record]) -> dict[str, Any]:
    """Return revisions for programs that read what a run prints."""
    return {
        "live": next((each.revision for each in kept if each.state == "live"), None),
        "previous": next((each.revision for each in kept if each.state == "previous"), None),
        "records": [asdict(each) for each in kept],
    }
