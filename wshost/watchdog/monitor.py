"""The watchdog's rounds: ask each process of a generation again and again, note what it says."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass, field
from pathlib import Path

from wshost.common import proc
from wshost.watchdog.config import MISSES, Liveness
from wshost.watchdog.health_request import Question, request
from wshost.watchdog.pulse import Pulse
from wshost.watchdog.reuseport import Routes

LOOK = 0.1
"""Seconds between two looks at open questions."""
LOOK_AROUND = 5
"""Seconds between two looks at who listens, while everyone answers. It is not cheap: the kernel's
table of listeners has tens of thousands of places."""
LEFT_ALONE = 5
"""Seconds that a scout has for its answer."""


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
    obstacle: str = ""
    """Why it can't be asked, in words."""
    queued: float = 0.0
    """Seconds that it had waited for a processor when it was last looked at."""


class Rounds:
    """Questions to the processes of one generation."""

    def __init__(self, liveness: Liveness) -> None:
        self.liveness = liveness
        self.watched: dict[str, Watched] = {}
        self._leaders: set[int] = set()
        self._look_at = 0.0
        self._request = request(liveness.host, liveness.path)
        listen = liveness.listen
        self._routes = None if listen.unix else Routes(listen.place, liveness.patience)
        self._scouts: dict[Question, float] = {}

    def know(self, leaders: set[int]) -> None:
        """Know all processes of the service, of whichever generation: they may share ports."""
        if leaders != self._leaders:
            self._leaders, self._look_at = leaders, 0.0

    def add(self, name: str, pid: int, now: float) -> None:
        """Watch a process. Raises OSError if it is gone."""
        handle = os.pidfd_open(pid)
        try:
            started = now - proc.age(pid)
        except OSError:
            os.close(handle)
            raise
        self.watched[name] = Watched(name, pid, handle, Pulse(self.liveness, started))
        self._look_at = 0.0

    def remove(self, process: Watched) -> None:
        """Watch a process no more."""
        self.end(process)
        os.close(process.handle)
        del self.watched[process.name]

    def end(self, process: Watched) -> None:
        """Ask a process no more, but remember it until Supervisor knows of its end."""
        process.over = True
        self.drop(process)

    def close(self) -> None:
        """Watch nothing any more."""
        for process in list(self.watched.values()):
            self.remove(process)
        for scout in self._scouts:
            scout.close()
        self._scouts.clear()
        if self._routes is not None:
            self._routes.close()

    def postpone(self, seconds: float) -> None:
        """Give open questions more time: for so long, nobody could have answered."""
        for process in self.watched.values():
            process.pulse.extend(seconds)

    def drop(self, process: Watched) -> None:
        """Give up all questions to a process, and draw no conclusions from them."""
        self._close_questions(process)
        process.pulse.reset()

    @staticmethod
    def _close_questions(process: Watched) -> None:
        for question in process.questions:
            question.close()
        process.questions.clear()

    def go(self, now: float) -> list[tuple[Watched, str]]:
        """Take in answers, and ask who is due. Returns who has to be killed, and why."""
        for process in self.watched.values():
            self._allow(process)
            for question in list(process.questions):
                question.proceed()
                self._note(process, question, now)
        self._follow_scouts(now)
        due = [p for p in self.watched.values() if now >= p.pulse.due and not p.over]
        # Before anything follows from silence, it must be sure who was asked.
        look = now >= self._look_at or any(each.pulse.waits for each in due)
        if due and look and self._routes is not None:
            self._look(self._routes, now)
        condemned = []
        for process in due:
            if reason := process.pulse.decide(now):
                condemned.append((process, reason))
            elif now >= process.pulse.due:
                self._ask(process, now)
        return condemned

    @staticmethod
    def _allow(process: Watched) -> None:
        """Give questions more time for as long as the process has waited for a processor.

        Who hangs does not wait for one, or gets it from time to time. Who has too many clients on
        a host that is busy needs one to answer, and killing it would make that worse.
        """
        before, process.queued = process.queued, queued(process.pid)
        process.pulse.extend(max(0.0, process.queued - before))

    def next(self, now: float) -> float:
        """Return when to go next."""
        alive = [each for each in self.watched.values() if not each.over]
        if self._scouts or any(each.pulse.waits for each in alive):
            return now + LOOK
        return min((each.pulse.due for each in alive), default=float("inf"))

    def rest(self, seconds: float) -> bool:
        """Wait, but not after the death of a process. Returns whether one has died."""
        poll = select.poll()
        alive = {each.handle: each for each in self.watched.values() if not each.over}
        for handle in alive:
            poll.register(handle, select.POLLIN)
        dead = poll.poll(max(0, seconds) * 1000)
        for handle, _ in dead:
            self.end(alive[handle])
        return bool(dead)

    def _look(self, routes: Routes, now: float) -> None:
        self._look_at = now + LOOK_AROUND
        changed = routes.look({self._port(name) for name in self.watched}, self._leaders)
        for process in self.watched.values():
            if self._port(process.name) in changed:
                self.drop(process)

    def _follow_scouts(self, now: float) -> None:
        for scout, since in list(self._scouts.items()):
            scout.proceed()
            if scout.over or now > since + LEFT_ALONE:
                scout.close()
                del self._scouts[scout]

    def _port(self, name: str) -> int:
        return self.liveness.listen.address(name)[1]

    def _ask(self, process: Watched, now: float) -> None:
        # What is left of an answer goes, and of the unanswered questions all but the last.
        keep = MISSES - 1 if process.pulse.waits else 0
        while len(process.questions) > keep:
            process.questions.pop(0).close()
        if self._routes is None:
            where = self.liveness.listen.socket(process.name)
            self._put(process, Question(where, self._request), now)
            return
        port = self._port(process.name)
        busy = {q.source for q in process.questions if q.source is not None}
        way = self._routes.way(process.pid, port, busy)
        if way == "absent":
            self._close_questions(process)
            process.pulse.record_absent(now)
            # It may be about to listen.
            self._look_at = 0.0
        elif way == "hidden":
            process.pulse.defer(now)
            process.obstacle = f"who has port {port} can't be told"
        elif way == "unknown":
            self._scout(self._routes, process, port, now)
        else:
            source = None if way == "direct" else way
            self._put(process, Question((self._routes.address, port), self._request, source), now)

    def _put(self, process: Watched, question: Question, now: float) -> None:
        process.questions.append(question)
        if question.reply is None:
            process.pulse.record_sent(now)
        self._note(process, question, now)

    def _scout(self, routes: Routes, process: Watched, port: int, now: float) -> None:
        for scout in routes.scout(port, self._leaders, self._request, now):
            self._scouts[scout] = now
        self._look_at = 0.0
        if routes.waiting(process.pid, port):
            process.pulse.record_sent(now)
        else:
            # Soon: who is alive takes scouts at once, and who is not has them in its queue by then.
            process.pulse.reset()
            process.pulse.defer(now, LOOK)

    def _note(self, process: Watched, question: Question, now: float) -> None:
        """Take note of what became of a question."""
        if question.reply == "answered":
            process.pulse.record_reply()
            process.obstacle = ""
        elif question.reply == "absent":
            self._close_questions(process)
            process.pulse.record_absent(now)
        elif question.reply == "impossible":
            self.drop(process)
            process.pulse.defer(now)
            if question.source is not None and self._routes is not None:
                self._routes.forget(process.pid, self._port(process.name), question.source)
            else:
                process.obstacle = question.complaint


def queued(pid: int) -> float:
    """Return for how many seconds a process's first thread has waited for a processor so far.

    0 if it is gone, or if the kernel does not count that (CONFIG_SCHED_INFO).
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
