"""Serve until SIGTERM, on a unix socket."""

import asyncio
import importlib.metadata
import os
import signal
from pathlib import Path

from websockets.asyncio.server import ServerConnection, unix_serve

WORDS = Path(os.environ["WS_APP"], "greeting.txt").read_text().strip()
VERSION = importlib.metadata.version("greeter")


async def greet(websocket: ServerConnection) -> None:
    """Greet each name."""
    async for name in websocket:
        assert isinstance(name, str)
        await websocket.send(f"{WORDS}, {name} (greeter {VERSION})")


async def main() -> None:
    """Serve until SIGTERM."""
    async with unix_serve(greet, os.environ["WS_SOCKET"]) as server:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
