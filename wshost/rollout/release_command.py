"""Run a command of a release once, such as a migration, before or after that serves.

It is a process of Supervisor's, so that it has the user, environment and sandbox of the app's
processes. What it prints is told line by line, and stays in a log beside those of generations.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import atomic, lock, progress, storage, supervisor
from wshost.rollout import generations, history
from wshost.rollout.generations import Generation

if TYPE_CHECKING:
    from wshost.requests import ReleaseCommand

POLL = 0.2
"""Seconds between two looks."""
PIECE = 65_536
"""Bytes of its log that are read at a look."""
KEYS = 50
"""Commands that have ended well, of which a host keeps the note."""
ENDED = ("EXITED", "FATAL", "STOPPED", "UNKNOWN")
"""What Supervisor says of a process that is not coming back."""


class FailedError(Exception):
    """The command did not end well; the message says how it did."""


def main(request: ReleaseCommand) -> None:
    """Run what `request` describes; exit 1 with its last lines if it does not end well."""
    new = generations.of(request)
    try:
        with (
            storage.exclusive(storage.STATE),
            history.log_change(request["kind"], request, request["by"]),
        ):
            run(new, request)
            remember(request["name"], request["key"])
    except FailedError as failed:
        sys.exit(f"{request['kind']} {failed}\n{new.last_lines()}")
    except (supervisor.SupervisorError, OSError) as error:
        sys.exit(f"{request['kind']}: {error}")


def run(new: Generation, request: ReleaseCommand) -> None:
    """Start it and wait until it has ended. Raises FailedError."""
    if new.conf.exists():
        # Of a run that was killed.
        generations.remove(new, request["stop_wait"])
    process = f"{new.name}_00"
    log = Output(new.logs / f"{process}.log")
    generations.add(new, request, autostart=False)
    try:
        with generations.ignoring("SPAWN_ERROR", "ABNORMAL_TERMINATION"):
            supervisor.call("startProcess", f"{new.group}:{process}", False)
        deadline = time.monotonic() + request["seconds"]
        while (found := _state(new, process))[0] not in ENDED:
            log.tell()
            if time.monotonic() > deadline:
                raise FailedError(
                    f"took longer than {request['seconds']:g} s (App.release_timeout), and was "
                    "stopped"
                )
            time.sleep(POLL)
        log.tell()
    finally:
        generations.remove(new, request["stop_wait"])
    state, status = found
    if state != "EXITED" or status:
        raise FailedError(
            f"ended with exit status {status}" if state == "EXITED" else "can't start"
        )


def _state(new: Generation, process: str) -> tuple[str, int]:
    """Return what Supervisor says of the process, and its exit status once it has one."""
    for each in new.processes():
        if each["name"] == process:
            return each["statename"], each.get("exitstatus", 0)
    return "UNKNOWN", 0


class Output:
    """What a command prints, from now on."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._place = _size(log)
        self._rest = b""

    def tell(self) -> None:
        """Tell the lines that are new."""
        if _size(self._log) < self._place:
            # Supervisor has begun another file.
            self._place = 0
        with contextlib.suppress(OSError), self._log.open("rb") as file:
            file.seek(self._place)
            piece = file.read(PIECE)
            self._place += len(piece)
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._rest = self._rest[-PIECE:]
            for line in lines:
                if text := generations.readable(line):
                    progress.tell({"said": text})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def remember(name: str, key: str) -> None:
    """Note that a command has ended well."""
    path = lock.folder(name) / "release-commands.json"
    known = []
    with contextlib.suppress(OSError, ValueError):
        known = [each for each in json.loads(path.read_text()) if each != key]
    atomic.write(path, json.dumps([*known, key][-KEYS:]))
