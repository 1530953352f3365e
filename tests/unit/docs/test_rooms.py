"""The rooms of docs/guides/rooms.md reach clients of every process."""

import asyncio
import sys
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from tests.unit.docs import pages


class Broker:
    """What the example uses of Redis' client, within this process."""

    subscribers: list[asyncio.Queue[dict[str, Any]]]

    def from_url(self, url: str) -> "Broker":
        return self

    async def publish(self, channel: str, message: str) -> None:
        for queue in self.subscribers:
            queue.put_nowait(
                {"type": "pmessage", "channel": channel.encode(), "data": message.encode()}
            )

    def pubsub(self) -> "Subscriber":
        return Subscriber(self)


class Subscriber:
    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> "Subscriber":
        return self

    async def __aexit__(self, *args: object) -> None: ...

    async def psubscribe(self, pattern: str) -> None:
        assert pattern == "room:*"
        self.broker.subscribers.append(self.queue)

    async def listen(self) -> AsyncIterator[dict[str, Any]]:
        yield {"type": "psubscribe", "channel": b"room:*", "data": 1}
        while True:
            yield await self.queue.get()


def test_a_message_reaches_the_room_in_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    source = pages.blocks(pages.PAGES["docs/guides/rooms.md"], "python")[1]
    broker = Broker()
    broker.subscribers = []
    client: Any = ModuleType("redis.asyncio")
    client.from_url, client.ConnectionError = broker.from_url, ConnectionError
    package: Any = ModuleType("redis")
    package.asyncio = client
    monkeypatch.setitem(sys.modules, "redis", package)
    monkeypatch.setitem(sys.modules, "redis.asyncio", client)

    async def run() -> None:
        processes: list[dict[str, Any]] = [{}, {}]
        for names in processes:
            exec(source, names)  # noqa: S102 (our own text)
        async with (
            serve(processes[0]["handler"], "127.0.0.1", 0) as one,
            serve(processes[1]["handler"], "127.0.0.1", 0) as two,
        ):
            urls = [f"ws://127.0.0.1:{next(iter(s.sockets)).getsockname()[1]}" for s in (one, two)]
            async with (
                connect(f"{urls[0]}/tea", proxy=None) as sender,
                connect(f"{urls[1]}/tea", proxy=None) as other,
                connect(f"{urls[1]}/coffee", proxy=None) as elsewhere,
            ):
                while len(broker.subscribers) < 2:
                    await asyncio.sleep(0)
                await sender.send("hello")
                assert [await sender.recv(), await other.recv()] == ["hello", "hello"]
                await elsewhere.send("only here")
                assert await elsewhere.recv() == "only here"
            for names in processes:
                names["listener"].cancel()

    asyncio.run(asyncio.wait_for(run(), 20))
