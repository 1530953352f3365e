"""Clients that come at a steady rate until they are told to stop, and clients that stay.

Arguments: URL, file with certificates to trust, handshakes per second, clients that stay, seconds
between the messages that each of those sends (0: none), and `returning` if who comes and is closed
with 1012 before it has its answer comes back once, as clients do. Prints "ready" when those that
stay are there; ends on a line on standard input, or after ten minutes.
"""

import asyncio
import collections
import json
import ssl
import sys
import time
from typing import Any

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE = 30
"""Seconds in which an echo comes, if it ever comes."""


async def visit(url: str, options: dict[str, Any]) -> None:
    """Come, say something, hear it and go."""
    async with connect(url, **options) as websocket:
        await websocket.send("marco")
        await websocket.recv()


async def main(
    url: str, authority: str, rate: float, held: int, every: float, returning: bool
) -> None:
    # The time-outs of a client would tell of this machine, not of the service.
    options: dict[str, Any] = {
        "ssl": ssl.create_default_context(cafile=authority),
        "proxy": None,
        "open_timeout": 60,
        "ping_interval": None,
    }
    outcome: dict[str, Any] = {
        "passed": 0,
        "returned": 0,
        "failed": collections.Counter(),
        "failed_at": [],
        "codes": collections.Counter(),
        "closed_at": [],
        "echoes": 0,
        "unanswered": 0,
        "slowest": 0.0,
    }

    async def come_and_go() -> None:
        begun = time.time()
        try:
            try:
                await visit(url, options)
            except ConnectionClosed as closed:
                # Let in, and closed in turn before it had its answer: it comes back, once.
                if not (returning and closed.rcvd and closed.rcvd.code == 1012):
                    raise
                outcome["returned"] += 1
                await visit(url, options)
            outcome["passed"] += 1
        except Exception as error:
            outcome["failed"][repr(error)[:200]] += 1
            outcome["failed_at"].append(begun)

    leaving = asyncio.Event()

    async def stay(websocket: ClientConnection) -> None:
        try:
            while every and not leaving.is_set():
                await asyncio.sleep(every)
                if leaving.is_set():
                    break
                sent = time.monotonic()
                await websocket.send("polo")
                outcome["unanswered"] += 1
                await websocket.recv()
                outcome["unanswered"] -= 1
                outcome["echoes"] += 1
                outcome["slowest"] = max(outcome["slowest"], time.monotonic() - sent)
            await websocket.recv()
        except ConnectionClosed as closed:
            outcome["codes"][closed.rcvd.code if closed.rcvd else 1006] += 1
            outcome["closed_at"].append(time.time())

    connections = [await connect(url, **options) for _ in range(held)]
    staying = [asyncio.create_task(stay(websocket)) for websocket in connections]
    print("ready", flush=True)

    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    start, coming = time.monotonic(), []
    while not stop.done() and time.monotonic() < start + 600:
        coming.append(asyncio.create_task(come_and_go()))
        await asyncio.sleep(max(0, start + len(coming) / rate - time.monotonic()))
    await asyncio.gather(*coming)
    leaving.set()
    end = time.monotonic() + PATIENCE
    while outcome["unanswered"] and time.monotonic() < end:
        await asyncio.sleep(0.05)
    for task in staying:
        task.cancel()
    await asyncio.gather(*staying, return_exceptions=True)
    print(json.dumps(outcome))


if __name__ == "__main__":
    rate, held, every = float(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    uvloop.run(main(sys.argv[1], sys.argv[2], rate, held, every, "returning" in sys.argv[6:]))
