"""How a rollout counts the clients of an app with wsapp that goes."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.unit.wsapp.conftest import Start, Until
from wshost.common import sockets
from wshost.rollout import clients
from wshost.rollout.clients import Count
from wshost.rollout.generations import Generation


def test_only_websockets_are_clients(
    start: Start, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests of what ends a generation end all processes of its group, on the whole machine.
    old = Generation("ws", f"{os.getpid():012x}")
    app = start(SUPERVISOR_PROCESS_NAME="ws_00", SUPERVISOR_GROUP_NAME=old.group)
    pid = app.process.pid
    monkeypatch.setattr(Generation, "processes", lambda _: [{"pid": pid, "name": "ws_00"}])
    described = {"listen": f"unix:{tmp_path}", "watch": None}
    monkeypatch.setattr(Generation, "described", lambda _: described)
    monkeypatch.setattr(clients, "PATIENCE", 30)

    def counted() -> dict[int, Count]:
        # Nothing was asked there yet: a proxy has a connection for later.
        with app.raw():
            until(lambda: sockets.held([pid]) == 3)
            return clients.counted(old)

    async def held() -> dict[int, Count]:
        async with app.connect(), app.connect():
            return await asyncio.to_thread(counted)

    assert asyncio.run(asyncio.wait_for(held(), 90)) == {pid: Count(3, 2)}
