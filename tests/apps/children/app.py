"""Echo, from processes with children: workers, and one in a session of its own that stays."""

import concurrent.futures
import os
import signal
import time

from wsapp import run

pool = concurrent.futures.ProcessPoolExecutor(2)
list(pool.map(abs, range(8)))
if not os.fork():
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1_000_000)


async def handler(websocket):
    async for message in websocket:
        await websocket.send(f"{message} {os.environ['COLOUR']}")


run(handler)
