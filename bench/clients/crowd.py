"""Worker processes that act as one crowd of clients."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from bench.clients import worker
from bench.clients.numbers import Report, Seen, report
from bench.clients.target import Target, text

SPARE_FILES = 100
"""Open files of a worker that are no clients."""

START = 0.05
"""Seconds from a command to the moment when all workers begin."""


class Crowd:
    """Clients of a service, until the `with` block ends.

    target: the service. sources: own addresses to connect from, see `bench.clients.sources`; none
    leaves it to the kernel. workers: processes; None is one for each processor.
    """

    def __init__(
        self, target: Target, sources: tuple[str, ...] = (), workers: int | None = None
    ) -> None:
        self.target = target
        self.sources = sources
        self.workers = workers or len(os.sched_getaffinity(0))
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def __enter__(self) -> Self:
        """Start the workers."""
        context = multiprocessing.get_context("spawn")
        for number in range(self.workers):
            ours, theirs = context.Pipe()
            # Workers begin with different addresses of the service, so that these get the same
            # number of clients.
            first = number * max(1, len(self.target.addresses) // self.workers)
            process = context.Process(
                target=worker.work,
                args=(theirs, self.target, self.sources, first, self.files),
                daemon=True,
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            pipe.recv()  # when it is ready: Python takes longer to start than what is measured
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cut all connections, and end the workers."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(10)
            if process.is_alive():
                process.kill()

    @property
    def pids(self) -> list[int]:
        """The numbers of the workers."""
        return [process.pid for process in self._processes if process.pid]

    @property
    def room(self) -> int:
        """How many clients the workers can hold."""
        return self.workers * (self.files - SPARE_FILES)

    def open(self, count: int, at_once: int = 256, most_refused: int | None = None) -> Report:
        """Bring in more clients.

        at_once: handshakes under way at the same time. most_refused: stop when so many attempts
        have failed; None tries once for each client.
        Raises ValueError if the workers have no room for so many.
        """
        if count > self.room:
            raise ValueError(f"{self.workers} workers hold {self.room:,} clients, not {count:,}")
        return self._all(
            [
                worker.Open(
                    count=share,
                    at_once=max(1, at_once // self.workers),
                    most_refused=share + 1
                    if most_refused is None
                    else max(1, most_refused // self.workers),
                )
                for share in self._shares(count)
            ]
        )

    def echo(self, size: int, seconds: float, warm_up: float = 0.5) -> Report:
        """Let every client send text of `size` bytes, and the next as soon as its echo is there."""
        return self._all([worker.Echo(text(size), seconds, warm_up)] * self.workers)

    def handshakes(
        self,
        at_once: int,
        seconds: float,
        *,
        resume: bool = False,
        warm_up: float = 0.5,
        pause: float = 0.0,
    ) -> Report:
        """Connect and leave, again and again, with so many handshakes under way at a time.

        resume: whether clients resume their last TLS session. pause: seconds for which those wait
        who are refused.
        """
        return self._all(
            [
                worker.Handshakes(share, seconds, warm_up, resume, pause)
                for share in self._shares(at_once)
            ]
        )

    def reconnect(
        self, limit: float, *, cut: bool, patient: bool = True, resume: bool = False
    ) -> Report:
        """Let everybody come back who loses the connection, until all have been back once.

        limit: seconds after which it ends in any case. cut: whether all lose it at once, at the
        start; otherwise the server has to end them. patient: whether those who are refused wait
        before they try again, as websockets' client does. resume: whether TLS sessions are resumed.
        """
        return self._all([worker.Reconnect(cut, patient, resume, limit)] * self.workers)

    def leave(self) -> None:
        """Cut all connections."""
        self._all([worker.Leave()] * self.workers)

    def _shares(self, count: int) -> list[int]:
        each, more = divmod(count, self.workers)
        return [each + (number < more) for number in range(self.workers)]

    def _all(self, commands: Sequence[worker.Command]) -> Report:
        begin = time.monotonic() + START
        for pipe, command in zip(self._pipes, commands, strict=True):
            pipe.send((command, begin))
        seen: list[Seen] = [pipe.recv() for pipe in self._pipes]
        return report(seen, begin)
