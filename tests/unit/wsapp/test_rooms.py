"""Rooms reach members in all processes, and those of one when the broker is away."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from wsapp import broker, rooms
from wsapp.broker import Broker
from wsapp.config import Config, ConfigError
from wsapp.connections import Connection, Connections
from wsapp.metrics import Metrics, render
from wsapp.rooms import Rooms

PATIENCE = 60


class StandIn:
    """What rooms use of a server that speaks Redis' protocol."""

    def __init__(self, socket: Path) -> None:
        self.url = f"unix://{socket}"
        self._socket = str(socket)
        self._subscribers: dict[bytes, set[asyncio.StreamWriter]] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.deaf = False

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._socket)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for each in self._writers:
            each.close()
        Path(self._socket).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                words = []
                for _ in range(int(line[1:])):
                    size = int((await reader.readline())[1:])
                    words.append((await reader.readexactly(size + 2))[:-2])
                if not self.deaf:
                    self._answer(writer, words)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            for each in self._subscribers.values():
                each.discard(writer)
            writer.close()

    def _answer(self, writer: asyncio.StreamWriter, words: list[bytes]) -> None:
        match words[0].upper():
            case b"SUBSCRIBE" | b"UNSUBSCRIBE" as verb:
                for channel in words[1:]:
                    there = self._subscribers.setdefault(channel, set())
                    (there.add if verb == b"SUBSCRIBE" else there.discard)(writer)
                    writer.write(_push(verb.lower(), channel, 1))
            case b"PUBLISH":
                reached = self._subscribers.get(words[1], set())
                for each in reached:
                    each.write(_push(b"message", words[1], words[2]))
                writer.write(b":%d\r\n" % len(reached))
            case b"PING":
                subscribes = any(writer in each for each in self._subscribers.values())
                writer.write(_push(b"pong", b"") if subscribes else b"+PONG\r\n")
            case _:
                # HELLO and CLIENT, which older ones do not know.
                writer.write(b"-ERR unknown command\r\n")


def _push(*items: bytes | int) -> bytes:
    text = b"*%d\r\n" % len(items)
    for each in items:
        text += b":%d\r\n" % each if isinstance(each, int) else b"$%d\r\n%s\r\n" % (len(each), each)
    return text


class Process:
    """A process of an app whose clients are members of the room that their path names."""

    def __init__(self, url: str | None) -> None:
        self.metrics = Metrics()
        self.numbers = self.metrics.rooms
        self._url = url
        self.opened = 0

    @asynccontextmanager
    async def runs(self) -> AsyncIterator["Process"]:
        link = Broker(self._url, "ws", self.numbers) if self._url else None
        self.rooms = Rooms(self.numbers, link)
        options: dict[str, Any] = {"create_connection": Connections(self.metrics).create}
        try:
            async with serve(self._handle, "127.0.0.1", 0, **options) as server:
                port = next(iter(server.sockets)).getsockname()[1]
                self.uri = f"ws://127.0.0.1:{port}"
                yield self
        finally:
            if link is not None:
                await link.close()

    async def _handle(self, websocket: ServerConnection) -> None:
        assert isinstance(websocket, Connection)
        assert websocket.request is not None
        room = websocket.request.path
        await self.rooms.join(websocket, room)
        await websocket.send("joined")
        async for message in websocket:
            if message == "leave":
                self.rooms.leave(websocket, room)
                await websocket.send("left")
            elif message == "to all":
                await self.rooms.send(None, message)
            else:
                await self.rooms.send(
                    room, message, but=websocket if str(message).startswith("not me") else None
                )

    async def client(self, room: str = "tea") -> ClientConnection:
        websocket = await connect(f"{self.uri}/{room}", proxy=None, ping_interval=None)
        assert await websocket.recv() == "joined"
        return websocket


async def heard(*clients: ClientConnection) -> list[str | bytes]:
    """Return the next message of each."""
    return await asyncio.gather(*(each.recv() for each in clients))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def run(
    scene: Callable[[StandIn, Process, Process], Awaitable[None]],
    socket: Path,
    *,
    there: bool = True,
) -> None:
    """Play a scene with a broker and two processes."""

    async def play() -> None:
        stand_in = StandIn(socket)
        if there:
            await stand_in.start()
        async with AsyncExitStack() as stack:
            processes = [
                await stack.enter_async_context(Process(stand_in.url).runs()) for _ in range(2)
            ]
            await until(lambda: all(each.numbers.broker is there for each in processes))
            await scene(stand_in, *processes)

    asyncio.run(asyncio.wait_for(play(), PATIENCE))


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "broker.sock"


def test_a_message_reaches_each_member_once_in_all_processes(socket: Path) -> None:
    async def scene(stand_in: StandIn, one: Process, two: Process) -> None:
        members = [await process.client() for process in (one, two, one, two)]
        elsewhere = await two.client("coffee")
        await members[0].send("hello")
        await members[1].send(b"\xff")
        for each in members:
            got = Counter(await heard(each) + await heard(each))
            assert got == Counter(["hello", b"\xff"])
        await elsewhere.send("only here")
        assert await heard(elsewhere) == ["only here"]
        await members[0].send("to all")
        # Whatever came twice would come before it.
        assert await heard(*members, elsewhere) == ["to all"] * 5
        await members[0].send("not me")
        assert await heard(*members[1:]) == ["not me"] * 3
        await members[1].send("last")
        assert await heard(members[0]) == ["last"]

    run(scene, socket)


def test_what_one_sends_arrives_in_order(socket: Path) -> None:
    async def scene(stand_in: StandIn, one: Process, two: Process) -> None:
        sender, member = await one.client(), await two.client()
        wanted = [f"not me {number}" for number in range(2 * broker.BATCH)]
        for each in wanted:
            await sender.send(each)
        assert [await member.recv() for _ in wanted] == wanted

    run(scene, socket)


def test_who_has_left_or_ended_gets_no_more(socket: Path) -> None:
    async def scene(stand_in: StandIn, one: Process, two: Process) -> None:
        left, ended, stays = await two.client(), await two.client(), await one.client()
        await left.send("leave")
        assert await heard(left) == ["left"]
        await ended.close()
        await until(lambda: two.numbers.rooms == 0)
        await stays.send("hello")
        assert await heard(stays) == ["hello"]
        # It is told, too, so that it does not send what nobody here wants.
        await until(lambda: len(stand_in._subscribers[b"ws:room:/tea"]) == 1)
        again = await two.client()
        await stays.send("again")
        assert await heard(again) == ["again"]

    run(scene, socket)


def test_members_here_are_served_while_the_broker_is_away_and_all_after_its_return(
    socket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "wsapp")

    async def scene(stand_in: StandIn, one: Process, two: Process) -> None:
        here, too, there = await one.client(), await one.client(), await two.client()
        await stand_in.stop()
        await until(lambda: one.numbers.broker is False and two.numbers.broker is False)
        await here.send("alone")
        assert await heard(here, too) == ["alone"] * 2
        await until(lambda: one.numbers.messages["lost"] == 1)
        late = await two.client()
        await stand_in.start()
        await until(lambda: bool(one.numbers.broker and two.numbers.broker))
        await until(lambda: len(stand_in._subscribers[b"ws:room:/tea"]) == 2)
        await there.send("back")
        assert await heard(here, too, there, late) == ["back"] * 4
        # What the processes have not sent before the return is not lost after it.
        await here.send("and back")
        assert await heard(there, late) == ["and back"] * 2
        assert one.numbers.messages["lost"] == 1

    run(scene, socket)
    lines = [record.getMessage() for record in caplog.records if "broker" in record.getMessage()]
    assert (
        sum("the broker is away: rooms are in this process alone; " in line for line in lines) == 2
    )
    assert lines.count("the broker is there: rooms reach all processes") == 4


def test_a_broker_that_is_not_there_at_the_start_keeps_nobody_waiting(socket: Path) -> None:
    async def scene(stand_in: StandIn, one: Process, two: Process) -> None:
        member = await one.client()
        await member.send("hello")
        assert await heard(member) == ["hello"]

    run(scene, socket, there=False)


def test_a_broker_that_says_nothing_any_more_is_away(
    socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "ANSWER_LIMIT", 0.2)

    async def scene(stand_in: StandIn, one: Process, two: Process) -> None:
        member, there = await one.client(), await two.client()
        stand_in.deaf = True
        await until(lambda: one.numbers.broker is False and two.numbers.broker is False)
        stand_in.deaf = False
        await until(lambda: bool(one.numbers.broker and two.numbers.broker))
        await until(lambda: len(stand_in._subscribers[b"ws:room:/tea"]) >= 2)
        await member.send("hello")
        assert await heard(member, there) == ["hello"] * 2

    run(scene, socket)


def test_a_member_that_does_not_read_is_closed_and_nobody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rooms, "UNREAD", 64 * 1024)
    monkeypatch.setattr(rooms, "CLOSING", 0.1)

    async def play() -> None:
        async with Process(None).runs() as process:
            reads = await process.client()
            uri = f"{process.uri}/tea"
            silent = await connect(uri, proxy=None, ping_interval=None, max_queue=1)
            assert await silent.recv() == "joined"
            silent.transport.pause_reading()
            text = os.urandom(60_000)
            while not process.numbers.slow:
                await reads.send(text)
                assert await reads.recv() == text
            silent.transport.resume_reading()
            with suppress(ConnectionClosed):
                while True:
                    await silent.recv()
            await reads.send("goes on")
            assert await heard(reads) == ["goes on"]
            assert process.numbers.slow == 1

    asyncio.run(asyncio.wait_for(play(), PATIENCE))


def test_metrics() -> None:
    metrics = Metrics()
    assert "\nwsapp_broker_away 0\n" in render(metrics, {})
    metrics.rooms = replace(metrics.rooms, rooms=2, broker=False)
    text = render(metrics, {})
    for line in (
        "wsapp_rooms 2",
        'wsapp_room_messages_total{way="lost"} 0',
        "wsapp_room_slow_members_total 0",
        "wsapp_broker_away 1",
    ):
        assert f"\n{line}\n" in text


def test_what_is_wrong_with_a_broker_is_said_without_its_password() -> None:
    with pytest.raises(ConfigError) as error:
        Config.from_env({"WS_BROKER": "http://:secret@host", "WS_BROKER_PREFIX": "a b"})
    assert error.value.problems == [
        'WS_BROKER is "…": give a URL that begins with redis://, rediss:// or unix:///',
        'WS_BROKER_PREFIX is "a b": give up to 64 letters, digits, "_", "." and "-"',
    ]


def test_rooms_are_of_connections_that_the_harness_serves() -> None:
    with pytest.raises(RuntimeError, match=r"rooms are there while wsapp\.run serves"):
        asyncio.run(rooms.send("tea", "hello"))
