"""A message is too large by what is in it, however it was sent."""

import asyncio
import itertools
import os
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tests.unit.wsapp.conftest import App, Start

LIMIT = 100_000
ECHO = (
    "from wsapp import run\n"
    "async def handler(ws):\n"
    "    async for message in ws:\n"
    "        await ws.send(str(len(message)))\n"
    "run(handler)\n"
)


async def answers(
    app: App, sizes: tuple[int, ...], compressible: bool, fragments: int, **options: Any
) -> list[int | None]:
    found: list[int | None] = []
    for size in sizes:
        async with app.connect(**options) as websocket:
            content = bytes(size) if compressible else os.urandom(size)
            step = -(-size // fragments)
            parts = [content[at : at + step] for at in range(0, size, step)]
            try:
                await websocket.send(parts if fragments > 1 else content)
                found.append(int(await websocket.recv()))
            except ConnectionClosed as closed:
                found.append(closed.rcvd.code if closed.rcvd else None)
    return found


@pytest.mark.parametrize("level", ["off", "low", "medium", "high"])
def test_the_limit(start: Start, level: str) -> None:
    app = start(ECHO, WS_COMPRESSION=level, WS_MAX_SIZE=str(LIMIT))
    sizes = (LIMIT - 1_000, LIMIT, LIMIT + 1)
    # A client that makes the worst of it: the least memory that zlib takes.
    worst = ClientPerMessageDeflateFactory(compress_settings={"memLevel": 1})
    options = {} if level == "off" else {"compression": None, "extensions": [worst]}
    for compressible, fragments in itertools.product((True, False), (1, 7)):
        found = asyncio.run(answers(app, sizes, compressible, fragments, **options))
        assert found == [LIMIT - 1_000, LIMIT, 1009], (compressible, fragments)


def test_without_compression_of_the_clients(start: Start) -> None:
    app = start(ECHO, WS_COMPRESSION="low", WS_MAX_SIZE=str(LIMIT))
    found = asyncio.run(answers(app, (LIMIT, LIMIT + 1), False, 1, compression=None))
    assert found == [LIMIT, 1009]
