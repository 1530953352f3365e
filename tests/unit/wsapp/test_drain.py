"""What a drain does to each connection, with its final deadlines far away."""

import asyncio
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wsapp import drain
from wsapp.config import Config
from wsapp.connections import Connection, Connections
from wsapp.metrics import Metrics


@pytest.fixture(autouse=True)
def _deadlines_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "QUEUE_LIMIT", 600)
    monkeypatch.setattr(drain, "HANDLER_GRACE", 0.01)


def drained(connection: Any) -> None:
    """Drain one connection; return once it's gone for the reason under test."""

    async def run() -> None:
        connections = Connections(Metrics())
        connection.task = asyncio.create_task(connection.handler())
        connection.task.add_done_callback(lambda task: connections.discard(connection))
        connections.add(connection)
        server: Any = SimpleNamespace(close=lambda close_connections: None)
        config = Config(drain=0, close_timeout=0.05)
        one = drain.Drain(config, server, None, connections, asyncio.Event())
        async with asyncio.timeout(10):
            await one.run(asyncio.Event())

    asyncio.run(run())


class Fake:
    opened_at = 0.0
    code: int | None = None
    end = Connection.end

    async def close(self, code: int) -> None:
        self.code = code


def test_a_connection_that_can_not_be_closed_is_aborted() -> None:
    class Stuck(Fake):
        aborted = False

        async def close(self, code: int) -> None:
            await asyncio.Event().wait()

        async def handler(self) -> None:
            self.gone = asyncio.Event()
            self.transport = SimpleNamespace(abort=self.gone.set)
            await self.gone.wait()
            self.aborted = True

    stuck = Stuck()
    drained(stuck)
    assert stuck.aborted


@pytest.mark.parametrize(
    ("text", "seconds"), [("2.5\n", 2.5), ("60", 30), ("-1", 0), ("soon", 30), ("", 30), (None, 30)]
)
def test_a_file_can_shorten_it(tmp_path: Path, text: str | None, seconds: float) -> None:
    file = tmp_path / "drain"
    if text is not None:
        file.write_text(text)
    config = Config(drain=30, drain_file=str(file))
    assert drain.shortened(config) == dataclasses.replace(config, drain=seconds)


def test_a_handler_that_goes_on_is_cancelled() -> None:
    class Busy(Fake):
        cancelled = False

        async def handler(self) -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    busy = Busy()
    drained(busy)
    assert busy.cancelled
    assert busy.code == 1012


def test_one_that_shows_up_when_nobody_seems_to_be_left_is_not_left_behind() -> None:
    """It was accepted before the listener closed; the event loop makes it a turn or two later."""

    async def run() -> None:
        connections = Connections(Metrics())
        serving = asyncio.Event()
        late: Any = Fake()
        loop = asyncio.get_running_loop()

        def close(close_connections: bool) -> None:
            loop.call_later(drain.QUIET / 2, connections.add, late)

        server: Any = SimpleNamespace(close=close)
        one = drain.Drain(Config(drain=0), server, None, connections, serving)
        running = asyncio.create_task(one.run(asyncio.Event()))
        await asyncio.sleep(4 * drain.QUIET)
        assert not running.done()
        connections.discard(late)
        async with asyncio.timeout(10):
            await running

    asyncio.run(run())


def test_who_has_just_come_has_time_for_an_answer() -> None:
    async def turns(ago: list[float], window: float) -> list[float]:
        """Seconds until the turn of each of those who came some time ago."""
        connections = Connections(Metrics())
        server: Any = None
        one = drain.Drain(Config(drain=window), server, None, connections, asyncio.Event())
        now = asyncio.get_running_loop().time()
        one._window_end = now + window
        came: Any = [Fake() for _ in ago]
        for each, seconds in zip(came, ago, strict=True):
            each.opened_at = now - seconds
            connections.add(each)
        one._give_turns()
        found = [one._waiting[each].when() - now for each in came]
        for each in came:
            one._waiting[each].cancel()
        return found

    for _ in range(50):
        *young, _, _, _ = asyncio.run(turns([0, 0.5, 60, 60, 60], 5))
        assert min(young) >= drain.FRESH
    # If all have just come, the pace counts.
    assert min(asyncio.run(turns([0] * 10, 5))) < 0.7
    assert asyncio.run(turns([0, 60], 0)) == pytest.approx([0, 0], abs=0.4)
