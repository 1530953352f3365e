"""Clients that come at a steady rate and stay, and come back at once when they are closed.

Arguments: URL, file with certificates to trust, handshakes per second, clients that are there from
the start. Prints "ready" when those are there; ends on a line on standard input, or after ten
minutes, with a JSON object: `handshakes`, each as [begun, seconds, refused or not], and `closed`,
each as [when, code].
"""

import asyncio
import json
import ssl
import sys
import time
from typing import Any

import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

PAUSE = 0.1
"""Seconds until a client that was closed, or refused, tries again."""


async def main(url: str, authority: str, rate: float, held: int) -> None:
    options: dict[str, Any] = {
        "ssl": ssl.create_default_context(cafile=authority),
        "proxy": None,
        "open_timeout": 60,
        "ping_interval": None,
    }
    handshakes: list[tuple[float, float, str | None]] = []
    closed: list[tuple[float, int]] = []
    leaving = asyncio.Event()

    async def stay(ready: asyncio.Future[None] | None = None) -> None:
        while not leaving.is_set():
            begun = time.time()
            try:
                websocket = await connect(url, **options)
            except Exception as error:
                handshakes.append((begun, time.time() - begun, repr(error)[:100]))
                await asyncio.sleep(PAUSE)
                continue
            handshakes.append((begun, time.time() - begun, None))
            if ready:
                ready.set_result(None)
                ready = None
            try:
                await websocket.recv()
            except ConnectionClosed as end:
                closed.append((time.time(), end.rcvd.code if end.rcvd else 1006))
            await asyncio.sleep(PAUSE)

    clients = []
    for _ in range(held):
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        clients.append(asyncio.create_task(stay(ready)))
        await ready
    handshakes.clear()
    print("ready", flush=True)
    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    start = time.monotonic()
    come = 0
    while not stop.done() and time.monotonic() < start + 600:
        if rate and come < (time.monotonic() - start) * rate:
            come += 1
            clients.append(asyncio.create_task(stay()))
        await asyncio.sleep(0.005)
    leaving.set()
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    print(json.dumps({"handshakes": handshakes, "closed": closed}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
