"""Listens as websockets' guide for nginx does: on a unix socket in the working directory."""

import asyncio
import os
import signal

from websockets.asyncio.server import ServerConnection, unix_serve


async def backwards(websocket: ServerConnection) -> None:
    """Answer with the message read backwards."""
    async for message in websocket:
        await websocket.send(message[::-1])


async def main() -> None:
    """Serve until SIGTERM."""
    name = os.environ["SUPERVISOR_PROCESS_NAME"]
    async with unix_serve(backwards, f"{name}.sock") as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
        await server.wait_closed()


asyncio.run(main())
