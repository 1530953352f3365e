"""The lock of a fleet on this host: one run at a time changes anything.

A run takes it on each of its hosts before its first change, and gives it back at its end. Every
program that changes the host then sees that the lock is still its own run's: one whose lock was
taken away stops there, and never works against the one that has it now.

The file stays when the lock is free. A run tells by it whether another has been here since it
looked at the host.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import atomic, storage

if TYPE_CHECKING:
    from wshost.requests import BreakLock, Claim, LockAnswer, LockState, ReleaseLock, TakeLock

SHAPE = {
    "id": str,
    "owner": str,
    "process": dict,
    "since": int | float,
    "step": str,
    "until": int | float | None,
}
"""What a lock says. What has another shape is no lock: nobody can have it."""
SHARED = ("nginx.service", "haproxy.service", "supervisor.service", "keepalived.service")
"""Units of Debian's that a service takes for itself, and that others may have had before."""
PROCESS = {"pid", "start", "where"}
"""What its `process` says."""

PATIENCE = 10
"""Seconds to wait for a program to end before a lock is left to whoever takes it over."""


def main(request: TakeLock | ReleaseLock | BreakLock) -> None:
    """Do what the request's `action` says, and answer with the lock as it was before."""
    name = request["name"]
    try:
        answer = take(name, request) if request["action"] == "take" else free(name, request)
    except OSError as error:
        answer = {"problem": f"{error.strerror} ({error.filename or storage.STATE})"}
    json.dump(answer, sys.stdout)


def take(name: str, request: TakeLock) -> LockAnswer:
    """Take the lock; `taken` in the answer says whether it was.

    What another run that is gone has left at work here is waited for.
    """
    run, over = request["run"], request["over"]
    _note_what_runs()
    if over is not None:
        with storage.exclusive(storage.STATE):
            pass
    with _alone(name):
        before = read(name)
        busy = before is not None and before["until"] is None
        if busy and before is not None and before["id"] not in (run["id"], over):
            return {"taken": False, "before": before}
        if "seen" in request and request["seen"] != before:
            return {"taken": False, "before": before}
        _write(
            name,
            {
                "id": run["id"],
                "owner": run["owner"],
                "process": run["process"],
                "since": time.time(),
                "step": request["step"],
                "until": None,
            },
        )
    return {"taken": True, "before": before}


def ran_before() -> list[str] | None:
    """Return which units that a service takes for itself ran before any came; None if unknown."""
    try:
        found = json.loads((storage.STATE / "before" / "units.json").read_text())
    except (OSError, ValueError):
        return None
    return [each for each in found if each in SHARED] if isinstance(found, list) else None


def _note_what_runs() -> None:
    """Note it, before the first service changes anything here."""
    note = storage.STATE / "before" / "units.json"
    if note.exists() or (storage.STATE / "sets").exists():
        return
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with storage.locked(note.parent / "lock"):
        if not note.exists():
            _write_what_runs(note)


def _write_what_runs(note: Path) -> None:
    running = [
        unit
        for unit in SHARED
        if subprocess.run(("systemctl", "is-active", "--quiet", unit), check=False).returncode == 0
    ]
    atomic.write(note, json.dumps(running))


def free(name: str, request: ReleaseLock | BreakLock) -> LockAnswer:
    """Release or break the lock, if there is one."""
    if not storage.STATE.exists():
        # The last service has gone from here, and its lock with it.
        return {"before": None}
    if request["action"] == "release" and not _at_rest():
        return {"before": read(name), "busy": True}
    with _alone(name):
        before = read(name)
        if before is not None and before["until"] is None:
            if request["action"] == "break":
                _write(name, {**before, "until": time.time(), "broken": request["by"]})
            elif before["id"] == request["id"]:
                _write(name, {**before, "until": time.time()})
    return {"before": before}


def check(run: Claim) -> None:
    """End this program if the lock is not the run's any more; otherwise note the run's step."""
    with _alone(run["name"]):
        lock = read(run["name"])
        if lock is None or lock["id"] != run["id"] or lock["until"] is not None:
            who = (lock.get("broken") or lock["owner"]) if lock else "nobody"
            sys.exit(f"the lock of this run was taken away ({who}); it changes nothing more here")
        _write(run["name"], {**lock, "step": run["step"]})


def read(name: str) -> LockState | None:
    """Return the lock as it is, or was last (then it has `until`); None if there is none."""
    try:
        found: LockState = json.loads(_file(name).read_text())
        good = all(isinstance(found[key], kinds) for key, kinds in SHAPE.items())  # type: ignore[literal-required]
        good = good and found["process"].keys() >= PROCESS
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        return None
    return found if good else None


def folder(name: str) -> Path:
    """Return the folder with a service's lock and history, made if need be; for root alone."""
    for made in (_services(), _services() / name):
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _services() / name


def _at_rest() -> bool:
    """Tell whether no program changes this host, now or after a moment's wait."""
    deadline = time.monotonic() + PATIENCE
    with open(storage.STATE / "lock", "w") as at_work:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(at_work, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)


def _services() -> Path:
    return storage.STATE / "services"


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let nobody else look at the lock or change it for a moment."""
    descriptor = os.open(folder(name), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _file(name: str) -> Path:
    return _services() / name / "lock.json"


def _write(name: str, lock: LockState) -> None:
    atomic.write(_file(name), json.dumps(lock))
