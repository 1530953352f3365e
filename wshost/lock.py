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
from typing import Any

from wshost import apply_files

SHAPE = {
    "id": str,
    "owner": str,
    "process": dict,
    "since": int | float,
    "step": str,
    "until": int | float | None,
}
"""What a lock says. What has another shape is no lock: nobody can have it."""
SHARED = ("nginx.service", "haproxy.service", "supervisor.service")
"""Units of Debian's that a service takes for itself, and that others may have had before."""
PROCESS = {"pid", "start", "where"}
"""What its `process` says."""

PATIENCE = 10
"""Seconds to wait for a program to end before a lock is left to whoever takes it over."""


def main(request: dict[str, Any]) -> None:
    """Do what the request's `action` says, and answer with the lock as it was before.

    `take`: for the `run` (`id`, `owner`, `process`), if it is free, and if it is still as the run
    has `seen` it; what it has not looked at is no such thing. `over` is the ID of a run that is
    gone, whose lock may be taken; what that has left running here is waited for.
    `release`: what `id` has taken, but not while something of it is still at work here, as after
    an interrupt; `busy` in the answer says so. `break`: whoever has it; `by` is who says so.
    """
    name, action = request["name"], request["action"]
    try:
        answer = take(name, request) if action == "take" else free(name, request)
    except OSError as error:
        answer = {"problem": f"{error.strerror} ({error.filename or apply_files.STATE})"}
    json.dump(answer, sys.stdout)


def take(name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Take the lock; `taken` in the answer says whether it was."""
    run, over = request["run"], request["over"]
    _note_what_runs()
    if over is not None:
        with apply_files.exclusive(apply_files.STATE):
            pass
    with _alone(name):
        before = read(name)
        busy = before is not None and before["until"] is None
        if busy and before is not None and before["id"] not in (run["id"], over):
            return {"taken": False, "before": before}
        if "seen" in request and request["seen"] != before:
            return {"taken": False, "before": before}
        _write(name, {**run, "since": time.time(), "step": request["step"], "until": None})
    return {"taken": True, "before": before}


def ran_before() -> list[str] | None:
    """Return which units that a service takes for itself ran before any came; None if unknown."""
    try:
        found = json.loads((apply_files.STATE / "before" / "units.json").read_text())
    except (OSError, ValueError):
        return None
    return [each for each in found if each in SHARED] if isinstance(found, list) else None


def _note_what_runs() -> None:
    """Note it, before the first service changes anything here."""
    note = apply_files.STATE / "before" / "units.json"
    if note.exists() or (apply_files.STATE / "sets").exists():
        return
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    running = [
        unit
        for unit in SHARED
        if subprocess.run(("systemctl", "is-active", "--quiet", unit), check=False).returncode == 0
    ]
    note.write_text(json.dumps(running))


def free(name: str, request: dict[str, Any]) -> dict[str, Any]:
    """Release or break the lock, if there is one."""
    if not apply_files.STATE.exists():
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


def check(run: dict[str, Any]) -> None:
    """End this program if the lock is not the run's any more; otherwise note the run's step.

    Keys: `name` of the service, `id` of the run, and `step`, what it is about to do.
    """
    with _alone(run["name"]):
        lock = read(run["name"])
        if lock is None or lock["id"] != run["id"] or lock["until"] is not None:
            who = (lock or {}).get("broken") or (lock or {}).get("owner") or "nobody"
            sys.exit(f"the lock of this run was taken away ({who}); it changes nothing more here")
        _write(run["name"], {**lock, "step": run["step"]})


def read(name: str) -> dict[str, Any] | None:
    """Return the lock as it is, or was last (then it has `until`); None if there is none."""
    try:
        found: dict[str, Any] = json.loads(_file(name).read_text())
        good = all(isinstance(found[key], kinds) for key, kinds in SHAPE.items())
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
    with open(apply_files.STATE / "lock", "w") as at_work:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(at_work, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)


def _services() -> Path:
    return apply_files.STATE / "services"


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


def _write(name: str, lock: dict[str, Any]) -> None:
    temporary = _file(name).with_suffix(".new")
    temporary.write_text(json.dumps(lock))
    os.replace(temporary, _file(name))
