"""Kill processes of the app that hang, so that Supervisor starts them again. Runs as a service.

    python3 -m wshost.watchdog NAME

Only the generation that serves is watched, and of it only what Supervisor calls RUNNING: a
generation that is being started has its gate, one that drains has its own time limit, and a process
that is being stopped is Supervisor's.

A process that has closed its listener on SIGTERM is not hung: it drains. It still has the time that
Supervisor gives a drain.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import supervisor
from wshost.common.journal import NOTICE, WARNING, notify, say
from wshost.rollout.description import CONF, GENERATION_ID
from wshost.watchdog import config
from wshost.watchdog.monitor import Rounds, Watched

if TYPE_CHECKING:
    from wshost.requests import Supervised

REFRESH = 5
"""Seconds between two looks at Supervisor while nothing happens."""
REFRESH_SOON = 0.2
"""The same while a process is missing."""
LATE = 0.5
"""Seconds between two looks at what serves while nothing is watched, or Supervisor is away."""
SUPERVISOR_TIMEOUT = 2
"""Seconds for a call to Supervisor. While it is restarted, a call may be left without an answer."""
SHORTEST = 0.05
"""Seconds to rest at least."""
REVIVE_FIRST, REVIVE_MOST = 10, 300
"""Seconds until a process that Supervisor has given up is started again; doubled each time."""


@dataclass
class GivenUp:
    """A process that Supervisor has given up."""

    wait: float
    due: float


class Watchdog:
    """The watchdog of one service on this host."""

    def __init__(self, name: str, run: Path = Path("/run"), conf: Path = CONF) -> None:
        self._name = name
        self._link = run / name / "current"
        self._conf = conf
        self._ours = re.compile(f"{re.escape(name)}-{GENERATION_ID}")
        self._group = ""
        self._rounds: Rounds | None = None
        self._refresh_at = 0.0
        self._rested = time.monotonic()
        self._away = False
        self._said: set[str] = set()
        self._killed: dict[str, float] = {}
        self._given_up: dict[str, GivenUp] = {}

    def step(self, now: float) -> float:
        """Do all that is due. Returns when there is something to do next."""
        live = self._live()
        if live != self._group or now >= self._refresh_at:
            self._refresh(live, now)
        if self._rounds is None:
            return self._refresh_at
        for process, reason in self._rounds.go(now):
            self._kill(self._rounds, process, reason, now)
        for process in self._rounds.watched.values():
            self._report(process, now)
        return max(min(self._refresh_at, self._rounds.next(now)), now + SHORTEST)

    def rest(self, until: float) -> None:
        """Wait until it is time, or a process has died."""
        now = time.monotonic()
        busy = now - self._rested
        if self._rounds is None:
            time.sleep(max(0, until - now))
        elif self._rounds.rest(until - now):
            self._refresh_at = 0
        self._rested = time.monotonic()
        late = self._rested - max(now, until)
        if self._rounds is not None and max(busy, late) > self._rounds.liveness.interval:
            # This machine may have stood still, and the app with it.
            self._rounds.postpone(max(busy, late))

    def close(self) -> None:
        """Watch nothing any more."""
        if self._rounds is not None:
            self._rounds.close()
        self._rounds = None
        self._killed.clear()
        self._given_up.clear()
        self._said.clear()

    def _live(self) -> str:
        """Return Supervisor's name for the generation that serves, or nothing."""
        try:
            return f"{self._name}-{os.readlink(self._link)}"
        except OSError:
            return ""

    def _refresh(self, live: str, now: float) -> None:
        """Find out which processes there are, and how they are watched."""
        found_liveness = config.read(self._conf / f"{live}.conf", live) if live else None
        if live != self._group or found_liveness != (self._rounds and self._rounds.liveness):
            self.close()
            self._group = live
            self._rounds = Rounds(found_liveness) if found_liveness else None
        found = self._processes() if self._rounds else None
        if self._rounds is None or found is None:
            self._refresh_at = now + LATE
            return
        self._refresh_at = now + REFRESH
        self._rounds.know(
            {p["pid"] for p in found if p["pid"] and self._ours.fullmatch(p["group"])}
        )
        mine = [p for p in found if p["group"] == live]
        self._choose(self._rounds, mine, now)
        self._revive([p for p in mine if p["statename"] in ("FATAL", "EXITED")], now)

    def _choose(self, rounds: Rounds, mine: list[Supervised], now: float) -> None:
        """Watch those that run, and no others."""
        for process in list(rounds.watched.values()):
            if not any(is_running(p, process) for p in mine):
                rounds.remove(process)
            elif process.over:
                self._refresh_at = now + REFRESH_SOON
        for entry in mine:
            if entry["statename"] == "RUNNING" and entry["name"] not in rounds.watched:
                with contextlib.suppress(OSError):
                    rounds.add(entry["name"], entry["pid"], now)
                    continue
                # It is gone already.
                self._refresh_at = now + REFRESH_SOON
            elif entry["statename"] in ("STARTING", "BACKOFF", "EXITED"):
                self._refresh_at = now + REFRESH_SOON

    def _processes(self) -> list[Supervised] | None:
        """Return Supervisor's processes; None, and a line in the journal, if it does not answer."""
        try:
            found = supervisor.processes(timeout=SUPERVISOR_TIMEOUT)
        except supervisor.SupervisorError as error:
            if not self._away:
                say(WARNING, f"nothing is killed meanwhile: {error}")
            self._away = True
            return None
        self._away = False
        return found

    def _kill(self, rounds: Rounds, process: Watched, reason: str, now: float) -> None:
        """Kill a process with all that it has started, if Supervisor still says that it runs."""
        found = self._processes()
        current = found is not None and any(
            is_running(p, process) for p in found if p["group"] == self._group
        )
        if not current or self._live() != self._group:
            # Somebody stops it, something else serves by now, or nobody would start it again.
            rounds.drop(process)
            process.pulse.defer(now)
            self._refresh_at = now
            return
        with contextlib.suppress(ProcessLookupError):
            # It is there, so its number is nobody else's. Supervisor gives each process a group of
            # its own; what it has started would otherwise keep its port.
            signal.pidfd_send_signal(process.handle, 0)
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
            signal.pidfd_send_signal(process.handle, signal.SIGKILL)
        rounds.end(process)
        self._killed[process.name] = now
        self._refresh_at = now + REFRESH_SOON
        say(WARNING, f"{process.name} (pid {process.pid}, {self._group}) {reason}: killed")

    def _report(self, process: Watched, now: float) -> None:
        """Say what there is to say of a process, once."""
        if process.obstacle:
            said = f"{process.name} ({self._group}) can't be asked: {process.obstacle}"
            if said not in self._said:
                say(WARNING, said)
            self._said.add(said)
        elif process.pulse.beats and not process.over:
            self._given_up.pop(process.name, None)
            killed = self._killed.pop(process.name, None)
            if killed is not None:
                said = f"answers, {now - killed:.1f} s after its predecessor was killed"
                say(NOTICE, f"{process.name} (pid {process.pid}, {self._group}) {said}")

    def _revive(self, found: list[Supervised], now: float) -> None:
        """Start what Supervisor has given up, further and further apart."""
        for entry in found:
            name = entry["name"]
            known = self._given_up.setdefault(name, GivenUp(REVIVE_FIRST, now + REVIVE_FIRST))
            if now >= known.due:
                with contextlib.suppress(supervisor.SupervisorError):
                    process = f"{self._group}:{name}"
                    supervisor.call("startProcess", process, False, timeout=SUPERVISOR_TIMEOUT)
                known.wait = min(2 * known.wait, REVIVE_MOST)
                known.due = now + known.wait
                reason = entry.get("spawnerr") or "it had ended too soon, too often"
                said = f"was {entry['statename']} ({reason}): started again"
                say(WARNING, f"{name} ({self._group}) {said}")
            self._refresh_at = min(self._refresh_at, known.due)


def is_running(entry: Supervised, process: Watched) -> bool:
    """Tell whether Supervisor's entry is of this process, and it is neither stopped nor started."""
    return (entry["name"], entry["pid"], entry["statename"]) == (
        process.name,
        process.pid,
        "RUNNING",
    )


def main(arguments: list[str]) -> None:
    """Watch a service for ever; with --check, only see whether this Python has what it takes."""
    if arguments == ["--check"]:
        os.close(os.pidfd_open(os.getpid()))
        return
    (name,) = arguments
    watchdog = Watchdog(name)
    notify("READY=1")
    while True:
        until = watchdog.step(time.monotonic())
        notify("WATCHDOG=1")
        watchdog.rest(until)
