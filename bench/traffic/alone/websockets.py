"""Print how many bytes of Python objects websockets has for an idle connection.

Objects of its server are counted, as tracemalloc knows them; clients are another process.
There is no compression, and the loop is the app's.
"""

import asyncio
import gc
import subprocess
import sys
import tracemalloc

import uvloop
from websockets.asyncio.server import ServerConnection, serve

WARM_UP, COUNT = 50, 500
CLIENTS = f"""
import asyncio, sys
from websockets.asyncio.client import connect

async def main():
    kept = []
    for count in ({WARM_UP}, {COUNT}):
        for _ in range(count):
            kept.append(await connect(sys.argv[1], compression=None, ping_interval=None))
            await kept[-1].send("x" * 64)
            await kept[-1].recv()
        print(flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""


async def echo(websocket: ServerConnection) -> None:
    """Send every message back."""
    async for message in websocket:
        await websocket.send(message)


def objects() -> int:
    """Return the bytes that objects take now."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def main() -> None:
    """Measure."""
    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        clients = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENTS, f"ws://127.0.0.1:{port}",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert clients.stdin
        assert clients.stdout
        tracemalloc.start()
        await clients.stdout.readline()
        before = objects()
        clients.stdin.write(b"\n")
        await clients.stdout.readline()
        print((objects() - before) / COUNT, flush=True)
        # They close their connections, as nobody is to hear of lost ones.
        clients.stdin.write(b"\n")
        await clients.wait()


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
