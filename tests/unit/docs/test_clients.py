"""The clients of docs/guides/clients.md do what it says."""

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
    names: dict[str, Any] = {}
    for source in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
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


def test_who_only_listens_learns_that_nobody_is_there_any_more() -> None:
    """Behind a relay that falls silent, as the way to a host that has lost its power."""
    names, arrived, cut = python_client(), 0, asyncio.Event()
    # Seconds as in the document would be long to wait.
    stay_connected = names["stay_connected"]

    async def hastily(url: str, handle: Any, **options: float) -> None:
        sooner = {name: seconds / 50 for name, seconds in options.items()}
        await stay_connected(url, handle, proxy=None, **sooner)

    names["stay_connected"] = hastily

    async def no_sleep(seconds: float) -> None:
        pass

    async def server(websocket: ServerConnection) -> None:
        await websocket.wait_closed()

    async def handle(websocket: ClientConnection) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 1:
            cut.set()
            await websocket.recv()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = not cut.is_set()
        while data := await reader.read(1000):
            if not (first and cut.is_set()):
                writer.write(data)
        writer.close()

    async def run() -> None:
        async with serve(server, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]

            async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                inner, outer = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(pass_on(reader, outer), pass_on(inner, writer))

            relaying = await asyncio.start_server(relay, "127.0.0.1", 0)
            address = relaying.sockets[0].getsockname()[1]
            names["asyncio"] = SimpleNamespace(sleep=no_sleep)
            await names["listen"](f"ws://127.0.0.1:{address}", handle)
            relaying.close()

    asyncio.run(asyncio.wait_for(run(), 20))
    assert arrived == 2
