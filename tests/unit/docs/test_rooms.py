"""The rooms of docs/guides/rooms.md."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

import wsapp
from tests.unit.docs import pages
from wsapp import rooms
from wsapp.config import Config
from wsapp.connections import Connections
from wsapp.metrics import Metrics


def test_a_message_reaches_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr(wsapp, "run", served.append)
    source = pages.blocks(pages.PAGES["docs/guides/rooms.md"], "python")[1]
    exec(source, {"__name__": "__main__"})  # noqa: S102 (our own text)
    metrics = Metrics()
    options: dict[str, Any] = {"create_connection": Connections(metrics).create}

    async def play() -> None:
        monkeypatch.setattr(rooms, "_process", None)
        rooms.open_rooms(Config(), metrics.rooms)
        async with serve(served[0], "127.0.0.1", 0, **options) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            async with (
                connect(f"{url}/tea", proxy=None) as sender,
                connect(f"{url}/tea", proxy=None) as other,
                connect(f"{url}/coffee", proxy=None) as elsewhere,
            ):
                await sender.send("hello")
                assert [await sender.recv(), await other.recv()] == ["hello", "hello"]
                await elsewhere.send("only here")
                assert await elsewhere.recv() == "only here"

    asyncio.run(asyncio.wait_for(play(), 60))
