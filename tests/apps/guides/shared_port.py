"""Listens as websockets' guide for Supervisor does: all processes on one port."""

import asyncio
import signal

from websockets.asyncio.server import serve


async def backwards(websocket):
    """Answer with the message read backwards."""
    async for message in websocket:
        await websocket.send(message[::-1])


async def main():
    """Serve until SIGTERM."""
    async with serve(backwards, "", 8080, reuse_port=True) as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
        await server.wait_closed()


asyncio.run(main())
