"""Connections end at their age, each at one of its own, and come back elsewhere."""

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from tests.unit.wsapp.conftest import App, Start


async def ages(app: App, clients: int) -> list[tuple[float, int | None]]:
    """Return how long each of so many connections lasted, and the code it ended with."""
    loop = asyncio.get_running_loop()

    async def one() -> tuple[float, int | None]:
        async with app.connect() as websocket:
            begun = loop.time()
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
            return loop.time() - begun, closed.value.rcvd.code if closed.value.rcvd else None

    return await asyncio.gather(*(one() for _ in range(clients)))


def test_connections_end_at_ages_of_their_own(start: Start) -> None:
    app = start(WS_MAX_AGE="2")
    found = asyncio.run(asyncio.wait_for(ages(app, 20), 30))
    assert {code for _, code in found} == {1012}
    assert min(age for age, _ in found) >= 1.5
    assert max(age for age, _ in found) - min(age for age, _ in found) > 0.1
