"""Kill processes of the app that hang, so that Supervisor starts them again. Runs as a service.

    python3 -m wshost.watchdog NAME

Only the generation that serves is watched, and of it only what Supervisor calls RUNNING: a
generation that is being started has its gate, one that drains has its own time limit, and a process
that is being stopped is Supervisor's. How it is asked stands in its own file under Supervisor's
conf.d, so that there is never a moment in which it is judged by another one's terms.

A process that has closed its listener on SIGTERM is not hung: it drains. It still has the time that
Supervisor gives a drain.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
import select
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wshost import launch, supervisor
from wshost.liveness import MISSES, Pulse, Terms
from wshost.question import Question, text
from wshost.routes import Routes

GROUP = r"{}-[0-9a-f]{{12}}"
"""Supervisor's name for a generation (generations.py)."""
REFRESH = 5
"""Seconds between two looks at Supervisor while nothing happens."""
REFRESH_SOON = 0.2
"""The same while a process is missing."""
SUPERVISOR_TIMEOUT = 5
"""Seconds for a call to Supervisor."""
SHORTEST = 0.05
"""Seconds to rest at least."""
REVIVE_FIRST, REVIVE_MOST = 10, 300
"""Seconds until a process that Supervisor has given up is started again; doubled each time."""

# What systemd takes as the priority of a line.
NOTICE, WARNING = 5, 4


@dataclass
class Watched:
    """A process that is watched."""

    name: str
    pid: int
    handle: int
    """Its pidfd: it is this process for ever, whoever gets its number later."""
    pulse: Pulse
    questions: list[Question] = field(default_factory=list)
    over: bool = False
    """Killed by us, or dead by itself; Supervisor may not know yet."""


@dataclass
class GivenUp:
    """A process that Supervisor has given up."""

    wait: float
    due: float


class Watchdog:
    """The watchdog of one service on this host."""

    def __init__(self, name: str, run: Path = Path("/run"), conf: Path | None = None) -> None:
        self._name = name
        self._link = run / name / "current"
        self._conf = conf or Path("/etc/supervisor/conf.d")
        self._group_pattern = re.compile(GROUP.format(re.escape(name)))
        self._selector = selectors.DefaultSelector()
        self._group = ""
        self._terms: Terms | None = None
        self._routes: Routes | None = None
        self._watched: dict[str, Watched] = {}
        self._leaders: set[int] = set()
        self._refresh_at = 0.0
        self._rest_ended = time.monotonic()
        self._complaints: set[str] = set()
        self._killed: dict[str, float] = {}
        self._given_up: dict[str, GivenUp] = {}
        self._strays: dict[Question, float] = {}

    def step(self, now: float) -> float:
        """Do all that is due. Returns when there is something to do next."""
        live = self._live()
        if live != self._group or now >= self._refresh_at or self._somebody_died():
            self._refresh(live, now)
        if self._terms is None:
            return self._refresh_at
        self._listen(now)
        due = [p for p in self._watched.values() if now >= p.pulse.due and not p.over]
        if due and self._routes is not None:
            self._look(self._routes)
            for stray in [s for s, since in self._strays.items() if now > since + REFRESH]:
                self._drop(stray)
        for process in due:
            if now >= process.pulse.due:
                self._attend(process, now)
        dues = [each.pulse.due for each in self._watched.values() if not each.over]
        return max(min([self._refresh_at, *dues]), now + SHORTEST)

    def rest(self, until: float) -> None:
        """Wait until something happens, or it is time."""
        now = time.monotonic()
        busy = now - self._rest_ended
        self._selector.select(max(0.0, until - now))
        self._rest_ended = time.monotonic()
        late = self._rest_ended - max(now, until)
        if self._terms and max(busy, late) > self._terms.interval:
            # This machine may have stood still, and the app with it.
            for process in self._watched.values():
                self._drop_questions(process)
                process.pulse.forgive()

    # What is to be watched.

    def _live(self) -> str:
        """Return Supervisor's name for the generation that serves, or nothing."""
        try:
            return f"{self._name}-{os.readlink(self._link)}"
        except OSError:
            return ""

    def _refresh(self, live: str, now: float) -> None:
        """Ask Supervisor which processes there are."""
        self._refresh_at = now + REFRESH
        terms = read_terms(self._conf / f"{live}.conf", live) if live else None
        if (live, terms) != (self._group, self._terms):
            self._forget_everything()
            self._group, self._terms = live, terms
            if terms is not None:
                kind, _, where = terms.listen.partition(":")
                address = where.rpartition(":")[0]
                self._routes = Routes(address, terms.patience) if kind != "unix" else None
        if terms is None:
            # Nothing serves, or it is not to be watched. That can change at any time.
            self._refresh_at = now + 1
            return
        found = self._processes()
        if found is None:
            self._refresh_at = now + 1
            return
        self._leaders = {p["pid"] for p in found if p["pid"] and self._ours(p["group"])}
        mine = [p for p in found if p["group"] == live]
        for process in list(self._watched.values()):
            if not any(is_running(p, process.name, process.pid) for p in mine):
                self._forget(process)
            elif process.over:
                self._refresh_at = now + REFRESH_SOON
        for entry in mine:
            if entry["statename"] == "RUNNING" and entry["name"] not in self._watched:
                self._watch(entry, terms, now)
        self._revive([p for p in mine if p["statename"] in ("FATAL", "EXITED")], now)
        if any(p["statename"] in ("STARTING", "BACKOFF", "EXITED") for p in mine):
            self._refresh_at = now + REFRESH_SOON

    def _ours(self, group: str) -> bool:
        return self._group_pattern.fullmatch(group) is not None

    def _watch(self, entry: dict[str, Any], terms: Terms, now: float) -> None:
        try:
            handle = os.pidfd_open(entry["pid"])
            started = now - age(entry["pid"])
        except OSError:
            # It is gone already.
            self._refresh_at = now + REFRESH_SOON
            return
        self._watched[entry["name"]] = Watched(
            entry["name"], entry["pid"], handle, Pulse(terms, started)
        )
        self._selector.register(handle, selectors.EVENT_READ)

    def _processes(self) -> list[dict[str, Any]] | None:
        try:
            found: list[dict[str, Any]] = supervisor.call(
                "getAllProcessInfo", timeout=SUPERVISOR_TIMEOUT
            )
        except supervisor.SupervisorError as error:
            self._complain(str(error))
            return None
        self._complaints.clear()
        return found

    def _somebody_died(self) -> bool:
        """Tell whether a process has ended since this was asked last."""
        poll = select.poll()
        alive = {p.handle: p for p in self._watched.values() if not p.over}
        for handle in alive:
            poll.register(handle, select.POLLIN)
        dead = [alive[handle] for handle, _ in poll.poll(0)]
        for process in dead:
            self._end(process)
        return bool(dead)

    def _end(self, process: Watched) -> None:
        """Ask a process no more; Supervisor will say when there is another."""
        process.over = True
        self._drop_questions(process)
        # It would end every rest from now on.
        self._selector.unregister(process.handle)

    def _forget(self, process: Watched) -> None:
        if not process.over:
            self._end(process)
        os.close(process.handle)
        del self._watched[process.name]

    def _forget_everything(self) -> None:
        for process in list(self._watched.values()):
            self._forget(process)
        for stray in list(self._strays):
            self._drop(stray)
        if self._routes is not None:
            self._routes.close()
            self._routes = None
        self._killed.clear()
        self._given_up.clear()

    # Questions and answers.

    def _look(self, routes: Routes) -> None:
        changed = routes.look({self._port(name) for name in self._watched}, self._leaders)
        for process in self._watched.values():
            if self._port(process.name) in changed:
                self._drop_questions(process)
                process.pulse.forgive()

    def _port(self, name: str) -> int:
        assert self._terms is not None
        return int(launch.listener(self._terms.listen, name)["WS_PORT"])

    def _attend(self, process: Watched, now: float) -> None:
        """Judge a process, or ask it again."""
        reason = process.pulse.verdict(now)
        if reason is not None:
            self._kill(process, reason, now)
            return
        assert self._terms is not None
        request = text(self._terms.host, self._terms.path)
        if self._routes is None:
            where = launch.listener(self._terms.listen, process.name)["WS_SOCKET"]
            self._ask(process, Question(where, request), now)
            return
        self._make_room(process)
        port = self._port(process.name)
        busy = {q.source for q in process.questions if q.source is not None}
        way = self._routes.way(process.pid, port, busy)
        if way == "absent":
            self._drop_questions(process)
            process.pulse.absent(now)
        elif way == "hidden":
            process.pulse.later(now)
            self._complain(f"who has port {port} can't be told")
        elif way == "unknown":
            self._scout(self._routes, process, port, request, now)
        else:
            source = None if way == "direct" else way
            self._ask(process, Question((self._routes.address, port), request, source), now)

    def _ask(self, process: Watched, question: Question, now: float) -> None:
        self._make_room(process)
        process.questions.append(question)
        process.pulse.asked(now)
        self._follow(question)
        self._settle(process, question, now)

    def _make_room(self, process: Watched) -> None:
        """Give up what is left of an answer, and of unanswered questions all but the last."""
        keep = MISSES - 1 if process.pulse.waits else 0
        while len(process.questions) > keep:
            self._drop(process.questions.pop(0))

    def _scout(
        self, routes: Routes, process: Watched, port: int, request: bytes, now: float
    ) -> None:
        for scout in routes.scout(port, self._leaders, request, now):
            self._strays[scout] = now
            self._follow(scout)
        if routes.waiting(process.pid, port):
            process.pulse.asked(now)
        else:
            process.pulse.forgive()
            process.pulse.later(now)

    def _follow(self, question: Question) -> None:
        if question.reply is None and not question.held:
            events = selectors.EVENT_WRITE if question.waits_to_write else selectors.EVENT_READ
            self._selector.register(question.socket, events, question)

    def _listen(self, now: float) -> None:
        """Take in what has come since."""
        for key, _ in self._selector.select(0):
            question: Question | None = key.data
            if question is None:
                continue
            more = question.proceed()
            if not more:
                self._selector.unregister(question.socket)
            elif not question.waits_to_write:
                self._selector.modify(question.socket, selectors.EVENT_READ, question)
            for process in self._watched.values():
                if question in process.questions:
                    self._settle(process, question, now)
            if not more and question in self._strays:
                self._drop(question)

    def _settle(self, process: Watched, question: Question, now: float) -> None:
        """Take note of what became of a question."""
        if question.reply == "answered":
            process.pulse.answered()
            self._says_back(process, now)
        elif question.reply == "absent":
            process.pulse.absent(now)
        elif question.reply == "impossible":
            process.pulse.forgive()
            process.pulse.later(now)
            if question.source is not None and self._routes is not None:
                self._routes.forget(process.pid, self._port(process.name), question.source)
            else:
                self._complain(f"{process.name} can't be asked: {question.complaint}")

    def _drop_questions(self, process: Watched) -> None:
        for question in process.questions:
            self._drop(question)
        process.questions.clear()

    def _drop(self, question: Question) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(question.socket)
        question.close()
        self._strays.pop(question, None)

    # What is done.

    def _kill(self, process: Watched, reason: str, now: float) -> None:
        """Kill a process with all that it has started, if Supervisor still says that it runs."""
        found = self._processes()
        current = found is not None and any(
            is_running(p, process.name, process.pid) for p in found if p["group"] == self._group
        )
        if not current or self._live() != self._group:
            # Somebody stops it, something else serves by now, or nobody would start it again.
            self._drop_questions(process)
            process.pulse.forgive()
            process.pulse.later(now)
            self._refresh_at = now
            return
        with contextlib.suppress(ProcessLookupError):
            # It is there, so its number is nobody else's. Supervisor gives each process a group of
            # its own; what it has started would otherwise keep its port.
            signal.pidfd_send_signal(process.handle, 0)
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
            signal.pidfd_send_signal(process.handle, signal.SIGKILL)
        self._end(process)
        self._killed[process.name] = now
        self._refresh_at = now + REFRESH_SOON
        say(WARNING, f"{process.name} (pid {process.pid}, {self._group}) {reason}: killed")

    def _says_back(self, process: Watched, now: float) -> None:
        self._given_up.pop(process.name, None)
        killed = self._killed.pop(process.name, None)
        if killed is not None:
            say(NOTICE, f"{process.name} (pid {process.pid}) answers {now - killed:.1f} s later")

    def _revive(self, found: list[dict[str, Any]], now: float) -> None:
        """Start what Supervisor has given up, further and further apart."""
        for entry in found:
            name = entry["name"]
            known = self._given_up.setdefault(name, GivenUp(REVIVE_FIRST, now + REVIVE_FIRST))
            if now < known.due:
                self._refresh_at = min(self._refresh_at, known.due)
                continue
            with contextlib.suppress(supervisor.SupervisorError):
                supervisor.call(
                    "startProcess", f"{self._group}:{name}", False, timeout=SUPERVISOR_TIMEOUT
                )
                said = f"{name} ({self._group}) was {entry['statename']}: started"
                say(WARNING, f"{said}; {entry['spawnerr'] or 'it ended too soon, too often'}")
            known.wait = min(2 * known.wait, REVIVE_MOST)
            known.due = now + known.wait

    def _complain(self, complaint: str) -> None:
        """Say once what is in the way."""
        if complaint not in self._complaints:
            self._complaints.add(complaint)
            say(WARNING, f"{complaint}; nothing is killed meanwhile")


def is_running(entry: dict[str, Any], name: str, pid: int) -> bool:
    """Tell whether Supervisor's entry is of this process, and it is neither stopped nor started."""
    return (entry["name"], entry["pid"], entry["statename"]) == (name, pid, "RUNNING")


def age(pid: int) -> float:
    """Return for how many seconds a process has been there, whatever was done to the clock since.

    Raises OSError if it is gone.
    """
    # The name in brackets can hold anything; the start is the 20th field after it.
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def read_terms(conf: Path, group: str) -> Terms | None:
    """Read the watchdog's section of a generation's file; None if there is none."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(conf.read_text())
        section = parser[f"watchdog:{group}"]
        return Terms(
            listen=section["listen"],
            host=section["host"],
            path=section["path"],
            hang_timeout=float(section["hang_timeout"]),
            start_timeout=float(section["start_timeout"]),
            stop_wait=float(section["stop_wait"]),
        )
    except (OSError, KeyError, ValueError, configparser.Error):
        return None


def say(priority: int, message: str) -> None:
    """Write a line to the journal."""
    print(f"<{priority}>{message}", flush=True)


def notify(message: str) -> None:
    """Tell systemd, if it wants to know, that this program is there or still alive."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to, contextlib.suppress(OSError):
            to.sendto(message.encode(), f"\0{path[1:]}" if path[0] == "@" else path)


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


if __name__ == "__main__":
    main(sys.argv[1:])
