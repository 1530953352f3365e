"""What a drain does to each connection, with its final deadlines far away."""

import asyncio
from types import SimpleNamespace

import pytest

from wsapp import drain
from wsapp.config import Config
from wsapp.connections import Connections
from wsapp.metrics import Metrics


@pytest.fixture(autouse=True)
def _deadlines_far_away(monkeypatch):
    monkeypatch.setattr(drain, "SETTLE_LIMIT", 600)
    monkeypatch.setattr(drain, "HANDLER_GRACE", 0.01)


def drained(connection):
    """Drain one connection; return once it's gone for the reason under test."""

    async def run():
        connections = Connections(Metrics())
        connection.task = asyncio.create_task(connection.handler())
        connection.task.add_done_callback(lambda task: connections.discard(connection))
        connections.add(connection)
        server = SimpleNamespace(close=lambda close_connections: None)
        config = Config(drain=0, close_timeout=0.05)
        one = drain.Drain(config, server, None, connections, asyncio.Event())
        async with asyncio.timeout(10):
            await one.run(asyncio.Event())

    asyncio.run(run())


class Fake:
    opened_at = 0.0
    code = None

    async def close(self, code):
        self.code = code


def test_a_connection_that_can_not_be_closed_is_aborted():
    class Stuck(Fake):
        aborted = False

        async def close(self, code):
            await asyncio.Event().wait()

        async def handler(self):
            self.gone = asyncio.Event()
            self.transport = SimpleNamespace(abort=self.gone.set)
            await self.gone.wait()
            self.aborted = True

    stuck = Stuck()
    drained(stuck)
    assert stuck.aborted


def test_a_handler_that_goes_on_is_cancelled():
    class Busy(Fake):
        cancelled = False

        async def handler(self):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    busy = Busy()
    drained(busy)
    assert busy.cancelled
    assert busy.code == 1012
