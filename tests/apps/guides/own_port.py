"""Listens as websockets' guide for HAProxy does: on a port that ends like the process's name."""

import asyncio
import os
import signal

from websockets.asyncio.server import ServerConnection, serve


async def backwards(websocket: ServerConnection) -> None:
    """Answer with the message read backwards."""
    async for message in websocket:
        await websocket.send(message[::-1])


async def main() -> None:
    """Serve until SIGTERM."""
    port = 8000 + int(os.environ["SUPERVISOR_PROCESS_NAME"][-2:])
    async with serve(backwards, "localhost", port) as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
        await server.wait_closed()


asyncio.run(main())
