"""The reconnecting client of docs/guides/clients.md does what it says."""

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve

PROJECT = Path(__file__).parents[3]


def python_client() -> dict[str, Any]:
    page = (PROJECT / "docs" / "guides" / "clients.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 (our own text)
    return names


def reconnects(codes: list[int]) -> list[float]:
    """Close connections with these codes in turn; return how long the client waited after each."""
    names, waits, left = python_client(), [], list(codes)

    async def instead_of_sleep(seconds: float) -> None:
        waits.append(seconds)

    async def server(websocket: ServerConnection) -> None:
        if left:
            await websocket.close(left.pop(0))
        else:
            await websocket.send("welcome")
            await websocket.wait_closed()

    async def handle(websocket: ClientConnection) -> None:
        assert await websocket.recv() == "welcome"

    async def run() -> None:
        async with serve(server, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            # The library sleeps too; this is about what the document does.
            names["asyncio"] = SimpleNamespace(sleep=instead_of_sleep)
            await names["stay_connected"](f"ws://127.0.0.1:{port}", handle, proxy=None)

    asyncio.run(asyncio.wait_for(run(), 20))
    return waits


def test_a_restart_is_followed_at_once() -> None:
    assert reconnects([1012, 1012]) == []


def test_anything_else_after_a_while() -> None:
    waits = reconnects([1001, 1011, 1012])
    assert len(waits) == 2
    assert all(0 <= wait <= 5 for wait in waits)
    assert waits[0] != waits[1]
