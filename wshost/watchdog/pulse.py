"""When a process counts as hung: from its answers to questions, and from nothing else. Pure.

Any answer proves life, whatever its status: a process that says 503 is unwell, but its event loop
turns, and killing it would only cut its clients off.
"""

from __future__ import annotations

from wshost.watchdog.config import MISSES, Liveness


class Pulse:
    """What is known of the life of one process. All instants are of one monotonic clock."""

    def __init__(self, liveness: Liveness, started: float) -> None:
        self._liveness = liveness
        self._started = started
        self._answered = False
        self._next = started
        self._unanswered: list[float] = []
        self._silent_since: float | None = None
        self._absent_since: float | None = None

    @property
    def due(self) -> float:
        """When the process is to be asked next, or judged if enough questions are open."""
        if self._unanswered:
            return self._unanswered[-1] + self._liveness.patience
        return self._next

    @property
    def waits(self) -> bool:
        """Whether a question is without an answer."""
        return bool(self._unanswered)

    @property
    def beats(self) -> bool:
        """Whether the process has ever answered."""
        return self._answered

    def defer(self, now: float, wait: float | None = None) -> None:
        """Ask only after a while, the usual interval, because it was not possible now."""
        self._next = now + (self._liveness.interval if wait is None else wait)

    def record_sent(self, now: float) -> None:
        """Note a question."""
        self._unanswered = [*self._unanswered, now][-MISSES:]
        self._next = now + self._liveness.interval
        self._absent_since = None
        if self._silent_since is None:
            self._silent_since = now

    def record_reply(self) -> None:
        """Note an answer, to whichever question."""
        self._answered = True
        self.reset()

    def record_absent(self, now: float) -> None:
        """Note that the process runs but listens nowhere: it starts, or it drains."""
        since = self._absent_since
        self.reset()
        self._next = now + self._liveness.interval
        self._absent_since = now if since is None else since

    def reset(self) -> None:
        """Forget what is unanswered: nothing follows from it."""
        self._unanswered.clear()
        self._silent_since = None
        self._absent_since = None

    def extend(self, seconds: float) -> None:
        """Give what it has not done yet so much more time: answers, its start, to listen again."""
        self._unanswered = [asked + seconds for asked in self._unanswered]
        if not self._answered:
            self._started += seconds
        if self._absent_since is not None:
            self._absent_since += seconds

    def decide(self, now: float) -> str | None:
        """Return why the process has to be killed, in words, or None."""
        liveness = self._liveness
        if not self._answered and now < self._started + liveness.start_timeout:
            return None
        if self._absent_since is not None:
            waited = now - self._absent_since
            limit = liveness.stop_wait if self._answered else 0
            return f"has not listened for {waited:.1f} s" if waited >= limit else None
        if len(self._unanswered) < MISSES or now < self.due:
            return None
        assert self._silent_since is not None
        if not self._answered:
            return f"has not answered once in the {now - self._started:.1f} s since its start"
        return f"has not answered for {now - self._silent_since:.1f} s"
