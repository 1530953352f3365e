"""Every connection of this process, counted and logged from its first byte to its handler's end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from wsapp.compression import make_room
from wsapp.log import logger, request_fields
from wsapp.metrics import Metrics


class Connections:
    """The connections of this process."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.accepted = 0
        """How many connections have come in since the start."""
        self.all: set[Connection] = set()
        """Those with a handshake to complete, a client, or a handler that still works."""
        self.admitted: set[Connection] = set()
        """Those that count for the cap: open ones and handshakes that may become open."""
        self.none_left = asyncio.Event()
        self.none_left.set()
        self.on_open: Callable[[Connection], None] = lambda connection: None
        """Called with each connection whose handshake is complete."""

    def create(self, protocol: ServerProtocol, server: Server, **options: Any) -> Connection:
        """Make a connection; this is what websockets calls `create_connection`."""
        return Connection(protocol, server, connections=self, **options)

    def add(self, connection: Connection) -> None:
        """Take a connection in when it's accepted."""
        self.accepted += 1
        self.all.add(connection)
        self.none_left.clear()

    def discard(self, connection: Connection) -> None:
        """Forget a connection when its handler has ended."""
        self.all.discard(connection)
        if not self.all:
            self.none_left.set()


class Connection(ServerConnection):
    """A connection that reports to `Connections`."""

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        *,
        connections: Connections,
        **options: Any,
    ) -> None:
        super().__init__(protocol, server, **options)
        self.connections = connections
        self.counts_as_handshake = True
        """False for requests that the harness answers itself, like health checks."""
        self.peer = "-"
        """Address of the other end, usually the proxy's; a unix socket has none."""
        self.opened_at: float | None = None
        self.expiry: asyncio.TimerHandle | None = None
        """Ends the connection at a certain age."""
        self.when_lost: list[Callable[[Connection], None]] = []
        """Called when the connection has ended."""
        self.is_lost = False
        """Whether the connection has ended; its handler may still work."""
        self.task: asyncio.Task[Any] | None = None
        """Runs the handshake, then the handler."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the connection's task, in the library."""
        super().connection_made(transport)
        address = self.remote_address  # now: uvloop can't tell once the connection is closed
        if isinstance(address, tuple):
            self.peer = str(address[0])
        self.connections.add(self)

    async def handshake(self, *args: Any, **options: Any) -> None:
        """Complete the handshake, in the library, and note how it went."""
        self.task = asyncio.current_task()
        assert self.task is not None
        self.task.add_done_callback(lambda task: self.connections.discard(self))
        result = "timeout"
        try:
            await super().handshake(*args, **options)
            if self.response is None:
                result = "invalid"
            elif self.response.status_code == 101 and self.protocol.state is not OPEN:
                result = "aborted"  # the client went away before it got the answer
            else:
                result = str(self.response.status_code)
        finally:
            if self.counts_as_handshake:
                self.connections.metrics.count_handshake(result)
                if result != "101":
                    self._log(logging.DEBUG, "refused", result=result)
        if result == "101":
            make_room(self.protocol)
            self.opened_at = self.loop.time()
            self.connections.metrics.open += 1
            self._log(logging.DEBUG, "opened")
            self.connections.on_open(self)

    async def end(self, code: int, timeout: float) -> None:
        """Close the connection; cut it if its client has not answered after `timeout` seconds."""
        try:
            # The library limits how long it waits for the client's answer, but not how long
            # for room to write the close frame when a client has stopped reading.
            async with asyncio.timeout(timeout):
                await self.close(code)
        except TimeoutError:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection; its handler may still work."""
        super().connection_lost(exc)
        self.is_lost = True
        for call in self.when_lost:
            call(self)
        if self.expiry is not None:
            self.expiry.cancel()
        self.connections.admitted.discard(self)
        if self.opened_at is None:
            return
        self.connections.metrics.open -= 1
        code = self.protocol.close_code
        self.connections.metrics.count_close(str(code))
        fields: dict[str, object] = {
            "code": code,
            "seconds": round(self.loop.time() - self.opened_at, 3),
        }
        if (sent := self.protocol.close_sent) is not None and sent.code != code:
            fields["sent"] = int(sent.code)
        self._log(logging.INFO, "closed", **fields)

    def _log(self, level: int, message: str, **fields: object) -> None:
        if logger.isEnabledFor(level):
            logger.log(
                level,
                message,
                extra={"fields": {**request_fields(self.peer, self.request), **fields}},
            )
