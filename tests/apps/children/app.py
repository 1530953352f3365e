"""Echo, from processes with children: workers, and some in sessions of their own that stay.

One of them has no environment that would tell where it comes from.
"""

import concurrent.futures
import os
import signal
import subprocess
import time

from websockets.asyncio.server import ServerConnection

from wsapp import run

pool = concurrent.futures.ProcessPoolExecutor(2)
list(pool.map(abs, range(8)))
if not os.fork():
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1_000_000)
STAY = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1_000_000)"
clean = ["env", "-i", "PATH=/usr/bin", "python3", "-c", STAY, f"stray-{os.environ['COLOUR']}"]
subprocess.run(["setsid", "--fork", *clean], check=True)


async def handler(websocket: ServerConnection) -> None:
    async for message in websocket:
        assert isinstance(message, str)
        await websocket.send(f"{message} {os.environ['COLOUR']}")


run(handler)
