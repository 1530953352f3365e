"""Clients of a shared address: some that only listen, some that talk, and some that come and go.

Arguments: address, domain, file with certificates to trust, handshakes per second, clients that
listen, clients that talk. Prints "ready" when those are there. Who is closed comes back.

For each line on standard input it prints one of JSON. `begin` is for a new count; `left` is how
many are there yet of those that only listened when it began; `give up` lets those go; `report` is
what happened since: `handshakes`, each as [begun, ended, what went wrong or None], and `closed`,
each as [when, code, "silent" or "talking"].
"""

import asyncio
import errno
import itertools
import json
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

TALK = 1.0
"""Seconds between the messages of a client that talks."""


PORTS = itertools.cycle(range(10_000, 32_768))
"""Each connection comes from a port of its own. A host that had the address a moment ago still has
connections whose clients are gone: one from the same port would get no reset there."""


class Clients:
    """All clients, and what has happened to them."""

    def __init__(self, address: str, domain: str, authority: str) -> None:
        self.url = f"wss://{domain}/"
        self.options: dict[str, Any] = {
            "host": address,
            "port": 443,
            "ssl": ssl.create_default_context(cafile=authority),
            "proxy": None,
            # As long as the gap of a power cut may be on a busy machine.
            "open_timeout": 15,
            "close_timeout": 1,
            "ping_interval": None,
        }
        self.silent: set[ClientConnection] = set()
        self.begin()

    async def connect(self) -> ClientConnection:
        while True:
            try:
                local = ("0.0.0.0", next(PORTS))
                return await connect(self.url, **self.options, local_addr=local)
            except OSError as error:
                # Somebody else has that port.
                if error.errno != errno.EADDRINUSE:
                    raise

    def begin(self) -> None:
        """Count anew."""
        self.before = set(self.silent)
        self.handshakes: list[tuple[float, float, str | None]] = []
        self.closed: list[tuple[float, int, str]] = []

    async def come_and_go(self) -> None:
        begun, problem = time.time(), None
        try:
            async with await self.connect():
                ended = time.time()
        except Exception as error:
            ended, problem = time.time(), repr(error)[:100]
        self.handshakes.append((begun, ended, problem))

    async def stay(self, kind: str, turn: float, ready: asyncio.Future[None]) -> None:
        """Be connected, and come back when that ends. turn: from 0 to 1, for not all at once."""
        while True:
            try:
                websocket = await self.connect()
            except Exception:
                await asyncio.sleep(0.1 + turn / 2)
                continue
            if not ready.done():
                ready.set_result(None)
            try:
                await (self.listen(websocket) if kind == "silent" else self.talk(websocket, turn))
            except ConnectionClosed as end:
                self.closed.append((time.time(), end.rcvd.code if end.rcvd else 1006, kind))
            await asyncio.sleep(turn / 2)

    async def listen(self, websocket: ClientConnection) -> None:
        self.silent.add(websocket)
        try:
            await websocket.recv()
        finally:
            self.silent.discard(websocket)

    async def talk(self, websocket: ClientConnection, turn: float) -> None:
        await asyncio.sleep(turn * TALK)
        while True:
            await websocket.send("marco")
            await websocket.recv()
            await asyncio.sleep(TALK)

    def left(self) -> int:
        """Return how many who listen have noticed nothing since the count began."""
        return len(self.before & self.silent)

    def give_up(self) -> None:
        """Let those who have noticed nothing come anew."""
        for websocket in self.before & self.silent:
            websocket.transport.abort()

    def report(self) -> dict[str, Any]:
        """Return what happened since the count began."""
        return {"handshakes": self.handshakes, "closed": self.closed}


async def main(
    address: str, domain: str, authority: str, rate: float, silent: int, talking: int
) -> None:
    clients, loop = Clients(address, domain, authority), asyncio.get_running_loop()
    staying, few = [], asyncio.Semaphore(20)

    async def begin(kind: str, turn: float) -> None:
        async with few:
            ready: asyncio.Future[None] = loop.create_future()
            staying.append(asyncio.create_task(clients.stay(kind, turn, ready)))
            await ready

    await asyncio.gather(
        *(begin("silent", number / silent) for number in range(silent)),
        *(begin("talking", number / talking) for number in range(talking)),
    )
    print("ready", flush=True)

    coming: set[asyncio.Task[None]] = set()

    async def keep_coming() -> None:
        start, come = time.monotonic(), 0
        while True:
            task = asyncio.create_task(clients.come_and_go())
            coming.add(task)
            task.add_done_callback(coming.discard)
            come += 1
            await asyncio.sleep(max(0, start + come / rate - time.monotonic()))

    arrivals = asyncio.create_task(keep_coming())
    answers: dict[str, Callable[[], object]] = {
        "begin": clients.begin,
        "left": clients.left,
        "give up": clients.give_up,
        "report": clients.report,
    }
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(answers[line.strip()]()), flush=True)
    for task in (arrivals, *staying, *coming):
        task.cancel()


if __name__ == "__main__":
    rate, silent, talking = float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6])
    uvloop.run(main(sys.argv[1], sys.argv[2], sys.argv[3], rate, silent, talking))
