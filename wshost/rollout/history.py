"""What has served on this host: a record of each generation, and a line for each change.

A record holds the whole request of the rollout, so that its generation can be brought back without
the machine that deployed it. That includes the environment with its secrets: only root can read
records.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wshost.common import atomic, lock
from wshost.rollout import description, earlier, generations

if TYPE_CHECKING:
    from wshost import requests
    from wshost.requests import ReleaseCommand, Rollout

KEEP = 5
"""Generations whose records and releases stay, and releases and logs that stay anyway."""

SHAPE = {
    "name": str,
    "generation": str,
    "release": str,
    "version": str,
    "by": str,
    "program": str,
    "environment": str,
    "boot": str,
    "stop_wait": int | float,
}
"""What a record's request holds at least. What has another shape is no record."""

LOG_DAYS = 14
"""Days that logs of earlier generations stay, however many those are."""
LOG_BYTES = 1_000_000_000
"""Bytes of all logs, beyond which the oldest go earlier."""

LINES = 1000
"""Lines that the log of changes keeps."""


@dataclass(frozen=True)
class Record:
    """A generation that has served."""

    request: Rollout
    """What rolled it out."""
    deployed: float
    """When a deployment brought it here, in seconds since 1970. A rollback does not change that,
    so that rollbacks one after the other go further and further back."""
    since: float
    """When it went live last."""
    withdrawn: bool = False
    """Whether a rollback has gone past it. Then it is nothing to go back to, unless by name."""

    @property
    def id(self) -> str:
        """The generation's ID."""
        return str(self.request["generation"])


def main(request: requests.History) -> None:
    """Answer with what is known of the generations of `name`, the newest first; no secrets."""
    name = request["name"]
    known = records(name)
    before = previous(name)
    answer: requests.HistoryAnswer = {
        "live": generations.live(name),
        "previous": before.id if before else None,
        "records": [
            {
                "generation": each.id,
                "release": each.request["release"],
                "version": each.request["version"],
                "listen": str(generations.listens_at(each.request)),
                "processes": each.request["description"]["processes"],
                "deployed": each.deployed,
                "since": each.since,
                "by": each.request["by"],
                "commit": each.request.get("commit"),
            }
            for each in known
        ],
    }
    json.dump(answer, sys.stdout)


def records(name: str) -> list[Record]:
    """Return the records of a service, the one that was deployed last first."""
    found = []
    for path in _folder(name).glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, IndexError):
            info = path.stat()
            if info.st_uid != os.geteuid() or info.st_mode & 0o022:
                # Who can write what root starts is root.
                continue
            found.append(_read(json.loads(path.read_text())))
    return sorted(found, key=lambda record: record.deployed, reverse=True)


def _read(found: dict[str, Any]) -> Record:
    """Return a record. Raises ValueError, TypeError, KeyError or IndexError if it is none."""
    request = found["request"]
    if "files" in request:
        request = earlier.request(request)
    if not (
        all(isinstance(request[key], kind) for key, kind in SHAPE.items())
        and description.is_one(request["description"])
    ):
        raise TypeError("not a request")
    return Record(
        request, float(found["deployed"]), float(found["since"]), bool(found.get("withdrawn"))
    )


def record(name: str, generation_id: str) -> Record | None:
    """Return the record of a generation, or None."""
    return next((found for found in records(name) if found.id == generation_id), None)


def previous(name: str) -> Record | None:
    """Return what a rollback goes back to: the version that served before the live one's."""
    generation_id = generations.live(name)
    live = record(name, generation_id) if generation_id else None
    if live is None:
        return None
    for each in records(name):
        same = each.request["version"] == live.request["version"]
        if each.deployed < live.deployed and not each.withdrawn and not same:
            return each
    return None


def went_live(request: Rollout, action: str, before: str | None) -> None:
    """Remember that the generation of a rollout's request is live now.

    action: `deploy`, `rollback` or `restart`. before: the generation that was live until now.
    """
    name, now, known = request["name"], time.time(), records(request["name"])
    generation_id = request["generation"]
    if before == generation_id and (mended := record(name, generation_id)):
        # Nothing new: some of its processes or files were missing.
        again: Rollout = {**request, "by": mended.request["by"]}
        if commit := mended.request.get("commit"):
            again["commit"] = commit
        _write(name, replace(mended, request=again))
        return
    atomic.write(lock.folder(name) / "serving.json", json.dumps(serving(request)))
    own = record(name, before if action == "restart" and before else generation_id)
    if action == "deploy" or own is None:
        # Never before one that is known, whatever happened to the clock.
        deployed = max([now, *(each.deployed + 0.001 for each in known)])
    else:
        deployed = own.deployed
    replaced = record(name, before) if before else None
    _write(name, Record(request, deployed, now))
    for each in known:
        if each == replaced and action == "restart":
            _path(name, each.id).unlink()
        elif replaced and each.deployed > replaced.deployed and each.id != generation_id:
            # What was deployed after the one that was live until now has been gone back from.
            _write(name, replace(each, withdrawn=True))
    _prune_records(name)
    link, before_it = Path(f"/srv/{name}/previous"), previous(name)
    if before_it is None:
        link.unlink(missing_ok=True)
    else:
        atomic.link(link, f"releases/{before_it.request['release']}")


def prune(name: str) -> None:
    """Remove old releases and logs; never what runs, is live, or would be rolled back to."""
    base = Path(f"/srv/{name}")
    needed: set[str | None] = {each.request["release"] for each in records(name)}
    needed |= {os.path.basename(os.path.realpath(base / link)) for link in ("current", "previous")}
    running = [*generations.generations(name)]
    described = [each.described() for each in running]
    needed |= {each["release"] for each in described if each}
    # Whatever a generation runs whose description can't be read, it still needs.
    if all(described):
        _prune(base / "releases", r"[^.].*", needed)
    live = {generations.live(name), *(each.id for each in running)}
    _prune_logs(Path(f"/var/log/{name}"), live)


def stop_wait(name: str, least: float) -> float:
    """Return the seconds that any generation of a service may take to stop."""
    return max([least, *(float(each.request["stop_wait"]) for each in records(name))])


def serving(request: Rollout) -> requests.Serving:
    """Return what serves once a request is carried out; no secrets."""
    return {
        "generation": request["generation"],
        "release": request["release"],
        "commit": request.get("commit"),
    }


@contextlib.contextmanager
def log_change(action: str, request: Rollout | ReleaseCommand, by: str) -> Iterator[None]:
    """Add a line to the log of changes when the body has ended, or failed. by: who wanted it."""
    start, outcome = time.monotonic(), "killed"
    try:
        yield
        outcome = "done"
    except Exception as error:
        outcome = f"failed: {error}".splitlines()[0]
        raise
    finally:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "by": by,
            "action": action,
            "release": request["release"],
            "generation": request["generation"],
            "commit": request.get("commit"),
            "outcome": outcome,
            "seconds": round(time.monotonic() - start, 1),
        }
        _note(Path(f"/var/log/{request['name']}/deploys.log"), json.dumps(entry))


def _note(log: Path, line: str) -> None:
    """Add a line, and drop the oldest if there are too many."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    text = "".join(f"{each}\n" for each in [*lines, line][-LINES:])
    atomic.write(log, text, 0o640, atomic.owners("root", "adm"))


def _prune_records(name: str) -> None:
    """Remove the oldest records, but for the live one and the one to go back to."""
    before = previous(name)
    spared = {generations.live(name)} | ({before.id} if before else set())
    known = [each for each in records(name) if each.id not in spared]
    for each in known[KEEP - len(spared) :]:
        _path(name, each.id).unlink()


def _prune(folder: Path, pattern: str, needed: set[str | None]) -> None:
    """Remove the oldest of the folders, until only the needed ones are left, or `KEEP` of all."""
    found = [path for path in folder.iterdir() if re.fullmatch(pattern, path.name)]
    found.sort(key=_last_change, reverse=True)
    others = [path for path in found if path.name not in needed]
    for path in others[max(0, KEEP - (len(found) - len(others))) :]:
        shutil.rmtree(path)


def _prune_logs(folder: Path, needed: set[str | None]) -> None:
    """Remove logs that are old, or beyond what all may take, the oldest first."""
    found = [
        path for path in folder.iterdir() if re.fullmatch(description.GENERATION_ID, path.name)
    ]
    found.sort(key=_last_change, reverse=True)
    taken = 0
    for path in found:
        taken += sum(log.stat().st_size for log in path.rglob("*") if log.is_file())
        old = _last_change(path) < time.time() - LOG_DAYS * 86_400
        if path.name not in needed and (old or taken > LOG_BYTES):
            shutil.rmtree(path)


def _last_change(folder: Path) -> float:
    """Return when a folder, or something right in it, was written last."""
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _folder(name: str) -> Path:
    made = lock.folder(name) / "generations"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def _path(name: str, generation_id: str) -> Path:
    return _folder(name) / f"{generation_id}.json"


def _write(name: str, record: Record) -> None:
    atomic.write(_path(name, record.id), json.dumps(asdict(record)))
