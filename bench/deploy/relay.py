"""A relay before SSH that adds to the round trip, and counts what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

CHUNK = 65_536
"""Bytes read at a time."""


@dataclass
class Traffic:
    """What went through a relay, both ways together or one by one."""

    connections: int = 0
    sent: int = 0
    """Bytes from clients to servers."""
    received: int = 0
    """Bytes from servers to clients."""
    turns: int = 0
    """How often a server answered: how often bytes came from it after bytes had gone to it. Each
    took a round trip, or less where both sides spoke at the same time."""

    def __sub__(self, before: Traffic) -> Traffic:
        """Return what was added since."""
        return Traffic(
            self.connections - before.connections,
            self.sent - before.sent,
            self.received - before.received,
            self.turns - before.turns,
        )


class Turns:
    """Tells turns of one connection; those of several at once must not be mixed up."""

    def __init__(self) -> None:
        self._asked = False

    def sent(self) -> None:
        """Note bytes to the server."""
        self._asked = True

    def received(self) -> bool:
        """Note bytes from the server; tell whether they are the first since some went to it."""
        answered, self._asked = self._asked, False
        return answered


class Line:
    """Chunks on their way: each is due a fixed time after it came, so that none waits for others.

    delay: seconds from one end to the other.
    """

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self._chunks: deque[tuple[float, bytes]] = deque()

    def put(self, now: float, chunk: bytes) -> None:
        """Let a chunk set out; an empty one is the end."""
        self._chunks.append((now + self.delay, chunk))

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next chunk arrives, 0 if one is there, None if none is."""
        return max(0.0, self._chunks[0][0] - now) if self._chunks else None

    def arrived(self, now: float) -> Iterator[bytes]:
        """Yield what has arrived, in the order in which it set out, and forget it."""
        while self._chunks and self._chunks[0][0] <= now:
            yield self._chunks.popleft()[1]


class Relay:
    """Relays on loopback, one for each address, while the context lasts. It runs in a thread.

    targets: addresses and ports. delay: seconds that are added to a round trip, half each way.
    """

    def __init__(self, targets: Sequence[tuple[str, int]], delay: float) -> None:
        self.targets = list(targets)
        self.delay = delay
        self.ports: list[int] = []
        """Where each target is reached on 127.0.0.1."""
        self.traffic = Traffic()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        self.ports = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def seen(self) -> Traffic:
        """Return a copy of what went through so far."""
        return self.traffic - Traffic()

    async def _listen(self) -> list[int]:
        self._servers = [
            await asyncio.start_server(self._client(*target), "127.0.0.1", 0, limit=CHUNK)
            for target in self.targets
        ]
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _client(
        self, address: str, port: int
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            turns = Turns()
            self.traffic.connections += 1

            def sent(size: int) -> None:
                self.traffic.sent += size
                turns.sent()

            def received(size: int) -> None:
                self.traffic.received += size
                self.traffic.turns += turns.received()

            # Cancelled where a connection outlives the relay.
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                # To connect takes a round trip, too.
                await asyncio.sleep(self.delay)
                there, to = await asyncio.open_connection(address, port, limit=CHUNK)
                await asyncio.gather(
                    _carry(reader, to, self.delay / 2, sent),
                    _carry(there, writer, self.delay / 2, received),
                )
                to.close()
            writer.close()

        return relay


async def _carry(
    source: asyncio.StreamReader,
    target: asyncio.StreamWriter,
    delay: float,
    count: Callable[[int], None],
) -> None:
    """Carry bytes one way until their end, each chunk `delay` seconds later than it came."""
    clock = asyncio.get_running_loop().time
    line, more = Line(delay), asyncio.Event()

    async def deliver() -> None:
        while True:
            while (wait := line.wait(clock())) is None:
                more.clear()
                await more.wait()
            if wait:
                await asyncio.sleep(wait)
            for chunk in line.arrived(clock()):
                if not chunk:
                    with contextlib.suppress(OSError):
                        target.write_eof()
                    return
                target.write(chunk)
            await target.drain()

    delivery = asyncio.ensure_future(deliver())
    try:
        while chunk := await source.read(CHUNK):
            count(len(chunk))
            line.put(clock(), chunk)
            more.set()
    finally:
        line.put(clock(), b"")
        more.set()
        await delivery
