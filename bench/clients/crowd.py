"""Worker processes that act as one crowd of clients."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from bench.clients import worker
from bench.clients.numbers import Report, report
from bench.clients.target import Target

START = 0.05
"""Seconds from a command to the moment when all workers begin."""


class Crowd:
    """Clients of a service, until the `with` block ends.

    workers: processes; None is one for each processor.
    """

    def __init__(self, target: Target, workers: int | None = None) -> None:
        self.target = target
        self.workers = workers or len(os.sched_getaffinity(0))
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []

    def __enter__(self) -> Self:
        """Start the workers."""
        context = multiprocessing.get_context("spawn")
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        for _ in range(self.workers):
            ours, theirs = context.Pipe()
            arguments = (theirs, self.target, files)
            process = context.Process(target=worker.work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            pipe.recv()  # Python takes longer to start than some measurements
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cut all connections and end the workers."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(10)
            if process.is_alive():
                process.kill()

    def open(self, count: int, at_once: int = 256) -> Report:
        """Connect more clients, which stay; each tries once.

        at_once: handshakes under way at the same time.
        """
        each = max(1, at_once // self.workers)
        return self._all([worker.Open(share, each) for share in self._shares(count)])

    def echo(self, size: int, seconds: float, warm_up: float = 0.5) -> Report:
        """Let every client send `size` bytes, and again as soon as the echo is there."""
        return self._all([worker.Echo(size, seconds, warm_up)] * self.workers)

    def handshakes(self, at_once: int, seconds: float, warm_up: float = 0.5) -> Report:
        """Connect and leave again and again, with so many handshakes under way at a time.

        Nobody may be connected before: all clients leave.
        """
        shares = self._shares(at_once)
        return self._all([worker.Handshakes(share, seconds, warm_up) for share in shares])

    def hold(self, seconds: float) -> Report:
        """Stay connected for so many seconds, or until nobody is left."""
        return self._all([worker.Hold(seconds)] * self.workers)

    def _shares(self, count: int) -> list[int]:
        each, more = divmod(count, self.workers)
        return [each + (number < more) for number in range(self.workers)]

    def _all(self, commands: Sequence[worker.Command]) -> Report:
        begin = time.monotonic() + START
        for pipe, command in zip(self._pipes, commands, strict=True):
            pipe.send((command, begin))
        return report([pipe.recv() for pipe in self._pipes], begin)
