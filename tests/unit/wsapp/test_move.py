"""A few clients move when the file says so; the others, and the process, go on."""

import asyncio
import os

from websockets.exceptions import ConnectionClosed

SHARE = "0.1"


async def moved(app, path, clients, until):
    """Hold clients, ask for some to move, return the codes of those that were closed."""
    held = [await app.connect() for _ in range(clients)]
    for client in held:
        await client.send("x")
        await client.recv()
    codes = []

    async def watch(client):
        try:
            await client.recv()
        except ConnectionClosed as closed:
            codes.append(closed.rcvd and closed.rcvd.code)

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


def test_a_share_of_the_clients(start, until, tmp_path):
    path = tmp_path / ".move"
    app = start(WS_MOVE_FILE=str(path))
    for clients, share in ((30, 3), (4, 1)):
        found = asyncio.run(asyncio.wait_for(moved(app, path, clients, until), 30))
        assert found == [1012] * share
        app.log_has(f"moving {share} of {clients} connections")


def test_what_is_no_share_is_said_once(start, until, tmp_path):
    path = tmp_path / ".move"
    path.write_text("some")
    app = start(WS_MOVE_FILE=str(path))
    app.log_has(f"can't read {path}")
    assert app.get("/healthz").startswith("HTTP/1.1 200")
