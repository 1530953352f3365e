"""Stopping without a crowd: listen no more, close connections one after the other, be gone in time.

    SIGTERM    listener closes                               window's end
    |-- settle --|-- queue --|                                     |- close timeout -|- grace -|
                 |------ each connection's turn, spread evenly ----|
                 |---------- handshakes under way complete --------|- they get 503 --|

In `settle` (`WS_SETTLE`, none by default) everything goes on but /healthz, which says 503.

The process exits as soon as nothing is left, which is usually right after the window, or at
once if it had no connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from pathlib import Path

from websockets.asyncio.server import Server

from wsapp.config import EXIT_MARGIN, HANDLER_GRACE, QUEUE_LIMIT, Config
from wsapp.connections import Connection, Connections
from wsapp.listen import UnixSocket
from wsapp.log import logger

HURRY_LIMIT = 2.0
"""Seconds after SIGINT by which the process is certainly gone."""

QUIET = 0.05
"""Seconds, twice in a row, without a new connection: then none is on its way any more.

A connect to a unix socket is queued at once or not at all, and the queue is emptied in one turn
of the event loop. Twice, because after a long blocking call a timer may run before the queue.
"""


FRESH = 1.0
"""Seconds from its handshake in which a client's turn comes only if all others have just come, too:
it has a message on its way, whose answer a slow minute may delay."""


def _fresh(window: float) -> float:
    """Return how much of FRESH there is in a window."""
    return min(FRESH, window / 2)


def spread(count: int, window: float) -> list[float]:
    """Return `count` instants in seconds, one at random in each equal part of `window`.

    Purely random instants would sometimes bunch up, evenly spaced ones would put the processes
    of a host in step with each other.
    """
    return [(part + random.random()) / count * window for part in range(count)]  # noqa: S311


def shortened(config: Config) -> Config:
    """Return the configuration for a drain that begins now.

    The file of `WS_DRAIN_FILE` shortens it, if it is there and has a number.
    """
    if config.drain_file is None:
        return config
    try:
        left = float(Path(config.drain_file).read_text())
    except (OSError, ValueError):
        return config
    return dataclasses.replace(config, drain=max(0.0, min(left, config.drain)))


class Drain:
    """One stop of the process."""

    def __init__(
        self,
        config: Config,
        server: Server,
        unix_socket: UnixSocket | None,
        connections: Connections,
        serving: asyncio.Event,
    ) -> None:
        self._config = config
        self._server = server
        self._unix_socket = unix_socket
        self._connections = connections
        self._serving = serving
        self._loop = asyncio.get_running_loop()
        self._window_end = 0.0
        self._hurried = False
        self._over = asyncio.Event()
        self._waiting: dict[Connection, asyncio.TimerHandle] = {}
        self._turns: set[asyncio.Task[None]] = set()
        self._deadlines: list[asyncio.TimerHandle] = []
        self._cancelled = 0

    async def run(self, hurried: asyncio.Event) -> None:
        """Close everything; faster from when `hurried` is set. Returns within the limits."""
        self._connections.metrics.draining = True
        await self._settle(hurried)
        started = self._loop.time()
        self._window_end = started + self._config.drain
        listens_until = started + max(self._config.drain, QUEUE_LIMIT)
        self._set_deadlines(
            listens_until, self._config.close_timeout, HANDLER_GRACE, EXIT_MARGIN / 2
        )
        watch = asyncio.create_task(self._hurry_when(hurried))
        count = self._connections.metrics.open
        logger.info(
            "stopping: closing %d connections over %g s with code %d, gone within %g s",
            count,
            self._config.drain,
            self._config.close_code,
            self._config.stop_limit - self._config.settle,
        )
        await self._stop_listening(hurried)
        self._give_turns()
        await self._wait_for_the_end()
        for deadline in self._deadlines:
            deadline.cancel()
        watch.cancel()
        left = len(self._connections.all)
        logger.info(
            "stopped after %.1f s%s%s",
            self._loop.time() - started,
            f", {self._cancelled} handlers cancelled" if self._cancelled else "",
            f", {left} of them left" if left else "",
        )

    async def _settle(self, hurried: asyncio.Event) -> None:
        """Go on for a while, so that nobody meets a closed port who is still sent here."""
        if not self._config.settle:
            return
        logger.info("going on for %g s, as others may not know yet", self._config.settle)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hurried.wait(), self._config.settle)

    async def _stop_listening(self, hurried: asyncio.Event) -> None:
        """Close the listener when no connection can be lost by it.

        A unix socket's queue is reset when its listener closes. So its file goes first (new
        connects find the next generation, or nothing, which the proxy retries elsewhere),
        then the queue is emptied. With TCP, the kernel moves the queue to the processes that
        share the port (net.ipv4.tcp_migrate_req), and waiting would only take in more.
        """
        if self._unix_socket is not None:
            self._unix_socket.unlink()
            quiet, limit = 0, self._loop.time() + QUEUE_LIMIT - 2 * QUIET
            while quiet < 2 and self._loop.time() < limit and not hurried.is_set():
                before = self._connections.accepted
                await asyncio.sleep(QUIET)
                quiet = quiet + 1 if self._connections.accepted == before else 0
        self._server.close(close_connections=False)
        if self._unix_socket is None and not hurried.is_set():
            # What the event loop has accepted by then shows up a turn or two later.
            await asyncio.sleep(QUIET)

    def _give_turns(self) -> None:
        """Give each connection its instant in what is left of the window."""
        now = self._loop.time()
        window = 0.0 if self._hurried else max(0.0, self._window_end - now)
        opened = [c for c in self._connections.all if c.opened_at is not None]
        instants = spread(len(opened), window)
        early = sum(instant < _fresh(window) for instant in instants)
        for connection, instant in zip(self._order(opened, early), instants, strict=True):
            self._give_turn(connection, now + instant)
        self._connections.on_open = self._give_late_turn

    def _order(self, connections: list[Connection], early: int) -> list[Connection]:
        """Return connections in the order of their turns: at random, but for those just come.

        early: how many of the first turns those do not get, as long as there are others for them.
        """
        random.shuffle(connections)
        since = self._loop.time() - FRESH
        old = [each for each in connections if (each.opened_at or 0) < since]
        young = [each for each in connections if (each.opened_at or 0) >= since]
        rest = [*old[early:], *young]
        random.shuffle(rest)
        return [*old[:early], *rest]

    def _give_late_turn(self, connection: Connection) -> None:
        """Give an instant to a connection whose handshake was under way."""
        now = self._loop.time()
        window = 0.0 if self._hurried else max(0.0, self._window_end - now)
        self._give_turn(connection, now + random.uniform(_fresh(window), window))  # noqa: S311

    def _give_turn(self, connection: Connection, instant: float) -> None:
        self._waiting[connection] = self._loop.call_at(instant, self._start_turn, connection)

    def _start_turn(self, connection: Connection) -> None:
        self._waiting.pop(connection).cancel()
        turn = asyncio.create_task(self._turn(connection))
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)

    async def _turn(self, connection: Connection) -> None:
        """Close one connection, then give its handler the grace to end."""
        await connection.end(self._config.close_code, self._config.close_timeout)
        if connection.task is not None and not connection.task.done():
            await asyncio.wait([connection.task], timeout=HANDLER_GRACE)
            self._cancel(connection)

    async def _wait_for_the_end(self) -> None:
        # One can come in while those who wait are being woken.
        while self._connections.all and not self._over.is_set():
            ends = [
                asyncio.create_task(self._connections.none_left.wait()),
                asyncio.create_task(self._over.wait()),
            ]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()

    async def _hurry_when(self, hurried: asyncio.Event) -> None:
        await hurried.wait()
        logger.info("stopping at once, gone within %g s", HURRY_LIMIT)
        self._hurried = True
        self._set_deadlines(self._loop.time(), HURRY_LIMIT / 2, HURRY_LIMIT / 4, HURRY_LIMIT / 8)
        for connection in list(self._waiting):
            self._start_turn(connection)

    def _set_deadlines(self, refuse: float, *steps: float) -> None:
        """Set the last instants for handshakes, connections, handlers, and for waiting at all."""
        for deadline in self._deadlines:
            deadline.cancel()
        abort, cancel, give_up = (
            refuse + steps[0],
            refuse + steps[0] + steps[1],
            refuse + sum(steps),
        )
        self._deadlines = [
            self._loop.call_at(refuse, self._serving.clear),
            self._loop.call_at(abort, self._abort_all),
            self._loop.call_at(cancel, self._cancel_all),
            self._loop.call_at(give_up, self._over.set),
        ]

    def _abort_all(self) -> None:
        for connection in self._connections.all:
            connection.transport.abort()

    def _cancel_all(self) -> None:
        for connection in self._connections.all:
            self._cancel(connection)

    def _cancel(self, connection: Connection) -> None:
        if connection.task is not None and not connection.task.done():
            if connection.task.cancelling() == 0:
                self._cancelled += 1
                logger.warning("handler cancelled: it went on after its connection had closed")
            connection.task.cancel()
