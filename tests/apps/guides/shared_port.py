"""Listens as websockets' guide for Supervisor does: all processes on one port."""

import asyncio
import signal

from websockets.asyncio.server import ServerConnection, serve


async def backwards(websocket: ServerConnection) -> None:
    """Answer with the message read backwards."""
    async for message in websocket:
        await websocket.send(message[::-1])


async def main() -> None:
    """Serve until SIGTERM."""
    async with serve(backwards, "", 8080, reuse_port=True) as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
        await server.wait_closed()


asyncio.run(main())
