"""A cloud's TCP balancer in front of machines, and clients who come through it.

All of it runs on one event loop, in a thread of its own, so that of each handshake is known to
which machine it was passed.
"""

import asyncio
import collections
import contextlib
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

T = TypeVar("T")

INTERVAL, TIMEOUT, FAILURES = 3, 2, 2
"""Seconds between two health checks, seconds for an answer, and how many checks have to fail in a
row: what docs/guides/machines-that-come-and-go.md asks of a balancer."""
PAUSE = 0.2
"""Seconds until a client who stays comes back."""
PATIENCE = 60
"""Seconds for a handshake and for an echo: a client's own would tell of this machine."""


@dataclass
class Target:
    """A machine behind the balancer, and its clients."""

    name: str
    address: str
    ready: bool = False
    """Whether it gets new connections."""
    served: int = 0
    """Handshakes that it has answered."""
    connected: int = 0
    """WebSockets that are open."""
    codes: collections.Counter[int] = field(default_factory=collections.Counter)
    """Close codes of clients who had not left by themselves, to how many; 0 for no answer."""


class Balancer:
    """Passes connections to machines whose /healthz answers 200, to each in turn."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="balancer").start()
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._targets: dict[str, Target] = {}
        self._turn = itertools.count()
        self.passed: dict[int, Target] = {}
        """Where connections went that came from this port of a client."""
        self.address: tuple[str, int] = self.run(self._listen())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the balancer's loop, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def add(self, name: str, address: str) -> Target:
        """Begin to check a machine."""

        async def add() -> Target:
            target = self._targets[name] = Target(name, address)
            self._checks[name] = asyncio.create_task(self._check(target))
            return target

        return self.run(add())

    def remove(self, target: Target) -> None:
        """Forget a machine."""

        async def remove() -> None:
            self._checks.pop(target.name).cancel()
            del self._targets[target.name]

        self.run(remove())

    async def _listen(self) -> tuple[str, int]:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0, backlog=1000)
        host, port = server.sockets[0].getsockname()
        return host, port

    async def _check(self, target: Target) -> None:
        failures = 0
        while True:
            healthy = await _healthy(target.address)
            failures = 0 if healthy else failures + 1
            target.ready = healthy or (target.ready and failures < FAILURES)
            await asyncio.sleep(INTERVAL)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = [target for target in self._targets.values() if target.ready]
        there: asyncio.StreamWriter | None = None
        try:
            if ready:
                target = ready[next(self._turn) % len(ready)]
                self.passed[writer.get_extra_info("peername")[1]] = target
                answers, there = await asyncio.open_connection(target.address, 443)
                await asyncio.gather(_pump(reader, there), _pump(answers, writer))
        except OSError:
            # A reset of one side is one for the other.
            for each in (writer, there):
                if each:
                    each.transport.abort()
        finally:
            for each in (writer, there):
                if each:
                    each.close()


async def _healthy(address: str) -> bool:
    writer = None
    request = f"GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(address, 80)
            writer.write(request.encode())
            return (await reader.readline()).split()[1:2] == [b"200"]
    except OSError:
        return False
    finally:
        if writer:
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


class Clients:
    """Clients who come, say something, hear it and go, and others who stay.

    Those who stay come back when they are closed.
    """

    def __init__(self, balancer: Balancer, domain: str, authority: Path) -> None:
        self.refused: list[str] = []
        """What went wrong with each handshake that was not answered, and where."""
        self._balancer = balancer
        self._url = f"wss://{domain}/"
        self._ssl = ssl.create_default_context(cafile=authority)
        self._tasks: list[asyncio.Task[None]] = []
        self._visits: set[asyncio.Task[None]] = set()
        self._leaving = False

    def begin(self, rate: float, staying: int) -> None:
        """Let so many come each second from now on, when those who stay are there."""

        async def begin() -> None:
            for _ in range(staying):
                there = asyncio.Event()
                self._tasks.append(asyncio.create_task(self._stay(there)))
                await there.wait()
            self._tasks.append(asyncio.create_task(self._keep_coming(rate)))

        self._balancer.run(begin())

    def end(self) -> None:
        """Let nobody come any more; who stays does so until closed."""

        async def end() -> None:
            self._leaving = True
            self._tasks.pop().cancel()
            await asyncio.gather(*self._visits)

        self._balancer.run(end())

    async def _keep_coming(self, rate: float) -> None:
        start = time.monotonic()
        for number in itertools.count(1):
            visit = asyncio.create_task(self._visit())
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)
            await asyncio.sleep(max(0, start + number / rate - time.monotonic()))

    async def _visit(self) -> None:
        if opened := await self._open():
            websocket, target = opened
            with _counted(target):
                await websocket.send("marco")
                await asyncio.wait_for(websocket.recv(), PATIENCE)
                # Who leaves by itself is in no count.
                await websocket.close()

    async def _stay(self, there: asyncio.Event) -> None:
        while not self._leaving:
            if opened := await self._open():
                there.set()
                websocket, target = opened
                with _counted(target):
                    await websocket.recv()
            await asyncio.sleep(PAUSE)

    async def _open(self) -> tuple[ClientConnection, Target] | None:
        """Return a WebSocket and the machine that it leads to; None if it was refused."""
        passed, loop = self._balancer.passed, asyncio.get_running_loop()
        end = socket.socket()
        end.setblocking(False)
        await loop.sock_connect(end, self._balancer.address)
        port = end.getsockname()[1]
        try:
            websocket = await connect(
                self._url,
                sock=end,
                ssl=self._ssl,
                proxy=None,
                open_timeout=PATIENCE,
                ping_interval=None,
            )
        except Exception as error:
            target = passed.pop(port, None)
            where = target.name if target else "no machine was ready"
            self.refused.append(f"{where}: {error!r}")
            return None
        target = passed.pop(port)
        target.served += 1
        return websocket, target


@contextlib.contextmanager
def _counted(target: Target) -> Iterator[None]:
    """Count a client among those of a machine, and how that ends unless the client leaves."""
    target.connected += 1
    try:
        yield
    except ConnectionClosed as closed:
        target.codes[closed.rcvd.code if closed.rcvd else 1006] += 1
    except TimeoutError:
        target.codes[0] += 1
    finally:
        target.connected -= 1
