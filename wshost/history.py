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
from typing import Any

from wshost import generations, lock
from wshost.generations import Generation

KEEP = 5
"""Generations whose records and releases stay, and releases and logs that stay anyway."""

SHAPE = {
    "name": str,
    "generation": str,
    "release": str,
    "version": str,
    "listen": str,
    "by": str,
    "files": list,
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

    request: dict[str, Any]
    """What rolled it out; see rollout.py."""
    deployed: float
    """When a deployment brought it here, in seconds since 1970. A rollback does not change that,
    so that rollbacks one after the other go further and further back."""
    since: float
    """When it went live last."""
    withdrawn: bool = False
    """Whether a rollback has gone past it. Then it is nothing to go back to, unless by name."""

    @property
    def identity(self) -> str:
        """The generation's identity."""
        return str(self.request["generation"])


def main(request: dict[str, Any]) -> None:
    """Answer with what is known of the generations of `name`, the newest first; no secrets."""
    name = request["name"]
    known = records(name)
    before = previous(name)
    keys = ("generation", "release", "version", "listen", "processes")
    answer = {
        "live": generations.live(name),
        "previous": before.identity if before else None,
        "records": [
            {key: record.request[key] for key in keys}
            | {"deployed": record.deployed, "since": record.since, "by": record.request["by"]}
            for record in known
        ],
    }
    json.dump(answer, sys.stdout)


def records(name: str) -> list[Record]:
    """Return the records of a service, the one that was deployed last first."""
    found = []
    for path in _folder(name).glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            info = path.stat()
            if info.st_uid != os.geteuid() or info.st_mode & 0o022:
                # Who can write what root starts is root.
                continue
            made = Record(**json.loads(path.read_text()))
            if all(isinstance(made.request[key], kind) for key, kind in SHAPE.items()):
                found.append(replace(made, deployed=float(made.deployed), since=float(made.since)))
    return sorted(found, key=lambda record: record.deployed, reverse=True)


def record(name: str, identity: str) -> Record | None:
    """Return the record of a generation, or None."""
    return next((found for found in records(name) if found.identity == identity), None)


def previous(name: str) -> Record | None:
    """Return what a rollback goes back to: the version that served before the live one's."""
    identity = generations.live(name)
    live = record(name, identity) if identity else None
    if live is None:
        return None
    for earlier in records(name):
        same = earlier.request["version"] == live.request["version"]
        if earlier.deployed < live.deployed and not earlier.withdrawn and not same:
            return earlier
    return None


def went_live(request: dict[str, Any], action: str, before: str | None) -> None:
    """Remember that the generation of a rollout's request is live now.

    action: `deploy`, `rollback` or `restart`. before: the generation that was live until now.
    """
    name, now, known = request["name"], time.time(), records(request["name"])
    identity = request["generation"]
    if before == identity and (mended := record(name, identity)):
        # Nothing new: some of its processes or files were missing.
        _write(name, replace(mended, request=request | {"by": mended.request["by"]}))
        return
    own = record(name, before if action == "restart" and before else identity)
    if action == "deploy" or own is None:
        # Never before one that is known, whatever happened to the clock.
        deployed = max([now, *(each.deployed + 0.001 for each in known)])
    else:
        deployed = own.deployed
    replaced = record(name, before) if before else None
    _write(name, Record(request, deployed, now))
    for each in known:
        if each == replaced and action == "restart":
            _path(name, each.identity).unlink()
        elif replaced and each.deployed > replaced.deployed and each.identity != identity:
            # What was deployed after the one that was live until now has been gone back from.
            _write(name, replace(each, withdrawn=True))
    _prune_records(name)
    link, earlier = Path(f"/srv/{name}/previous"), previous(name)
    if earlier is None:
        link.unlink(missing_ok=True)
    else:
        generations.link(link, f"releases/{earlier.request['release']}")


def prune(name: str) -> None:
    """Remove old releases and logs; never what runs, is live, or would be rolled back to."""
    base = Path(f"/srv/{name}")
    needed = {each.request["release"] for each in records(name)}
    needed |= {os.path.basename(os.path.realpath(base / link)) for link in ("current", "previous")}
    running = [*generations.generations(name)]
    needed |= {release for each in running for release in _releases_of(each)}
    _prune(base / "releases", r"[^.].*", needed)
    live = {generations.live(name), *(each.identity for each in running)}
    _prune_logs(Path(f"/var/log/{name}"), live)


def stop_wait(name: str, least: float) -> float:
    """Return the seconds that any generation of a service may take to stop."""
    return max([least, *(float(each.request["stop_wait"]) for each in records(name))])


@contextlib.contextmanager
def noted(action: str, request: dict[str, Any]) -> Iterator[None]:
    """Add a line to the log of changes when the body has ended, or failed."""
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
            "by": request["by"],
            "action": action,
            "release": request["release"],
            "generation": request["generation"],
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
    temporary = log.with_name(f".{log.name}.new")
    temporary.touch(mode=0o640)
    shutil.chown(temporary, "root", "adm")
    temporary.write_text("".join(f"{each}\n" for each in [*lines, line][-LINES:]))
    os.replace(temporary, log)


def _prune_records(name: str) -> None:
    """Remove the oldest records, but for the live one and the one to go back to."""
    before = previous(name)
    spared = {generations.live(name)} | ({before.identity} if before else set())
    known = [each for each in records(name) if each.identity not in spared]
    for each in known[KEEP - len(spared) :]:
        _path(name, each.identity).unlink()


def _prune(folder: Path, pattern: str, needed: set[str | None]) -> None:
    """Remove the oldest of the folders, until only the needed ones are left, or `KEEP` of all."""
    found = [path for path in folder.iterdir() if re.fullmatch(pattern, path.name)]
    found.sort(key=_last_change, reverse=True)
    others = [path for path in found if path.name not in needed]
    for path in others[max(0, KEEP - (len(found) - len(others))) :]:
        shutil.rmtree(path)


def _prune_logs(folder: Path, needed: set[str | None]) -> None:
    """Remove logs that are old, or beyond what all may take, the oldest first."""
    found = [path for path in folder.iterdir() if re.fullmatch(generations.IDENTITY, path.name)]
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


def _releases_of(generation: Generation) -> list[str]:
    """Return the releases that Supervisor's file for a generation refers to."""
    try:
        text = generation.conf.read_text()
    except OSError:
        return []
    return re.findall(rf"/srv/{re.escape(generation.name)}/releases/([^/\s]+)", text)


def _folder(name: str) -> Path:
    made = lock.folder(name) / "generations"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


def _path(name: str, identity: str) -> Path:
    return _folder(name) / f"{identity}.json"


def _write(name: str, record: Record) -> None:
    path = _path(name, record.identity)
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        json.dump(asdict(record), file)
    os.replace(temporary, path)
