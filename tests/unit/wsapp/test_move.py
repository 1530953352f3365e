"""A few clients move when the file says so; the others, and the process, go on."""

import asyncio
import os
from pathlib import Path

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.unit.wsapp.conftest import App, Start, Until

SHARE = "0.1"


async def moved(app: App, path: Path, clients: int, until: Until) -> list[int | None]:
    """Hold clients, ask for some to move, return the codes of those that were closed."""
    held = [await app.connect() for _ in range(clients)]
    for client in held:
        await client.send("x")
        await client.recv()
    codes: list[int | None] = []

    async def watch(client: ClientConnection) -> None:
        try:
            await client.recv()
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else None)

    watching = [asyncio.create_task(watch(client)) for client in held]
    path.with_suffix(".new").write_text(SHARE)
    os.replace(path.with_suffix(".new"), path)
    await asyncio.to_thread(until, lambda: not path.exists())
    await asyncio.to_thread(until, lambda: len(codes) == max(1, clients // 10))
    for task in watching:
        task.cancel()
    async with app.connect() as newcomer:
        await newcomer.send("hello")
        assert await newcomer.recv() == "hello"
    for client in held:
        await client.close()
    await asyncio.to_thread(until, lambda: app.metric("wsapp_connections") == 0)
    return codes


def test_a_share_of_the_clients(start: Start, until: Until, tmp_path: Path) -> None:
    path = tmp_path / ".move"
    app = start(WS_MOVE_FILE=str(path))
    for clients, share in ((30, 3), (4, 1)):
        found = asyncio.run(asyncio.wait_for(moved(app, path, clients, until), 30))
        assert found == [1012] * share
        app.log_has(f"moving {share} of {clients} connections")


def test_what_is_no_share_is_said_once(start: Start, until: Until, tmp_path: Path) -> None:
    path = tmp_path / ".move"
    path.write_text("some")
    app = start(WS_MOVE_FILE=str(path))
    app.log_has(f"can't read {path}")
    assert app.get("/healthz").startswith("HTTP/1.1 200")
