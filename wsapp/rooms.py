"""Rooms: what is sent to one reaches its members, whichever process they are connected to.

    from wsapp import rooms, run

    async def handler(websocket):
        async with rooms.member(websocket, "lobby"):
            async for message in websocket:
                await rooms.send("lobby", message)

    run(handler)

Members of the same process get a message at once; those of other processes, of other hosts and of
the generation before by a broker that speaks Redis' protocol, which `WS_BROKER` names. Without one,
a room is in this process alone.

A message arrives once or not at all: nothing is stored, and what is sent while the broker is away
reaches members of the same process only. What one process sends to a room arrives in that order.
Nobody waits for a member that does not read: it is closed with 1013.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, broadcast

from wsapp.broker import Broker
from wsapp.config import Config
from wsapp.connections import Connection
from wsapp.metrics import RoomNumbers

UNREAD = 1024 * 1024
"""Bytes that may wait for a member, as many as the largest message that clients may send by default
(`WS_MAX_SIZE`). A member with more of them does not read."""

TOO_SLOW = 1013
"""Close code for a member that does not read: try again later."""

CLOSING = 10.0
"""Seconds that it has to read what is left, and to answer; websockets' own for a close."""

Message = str | bytes
"""What clients send and get."""


@asynccontextmanager
async def member(websocket: ServerConnection, room: str) -> AsyncIterator[None]:
    """Be a member of a room for as long as the body runs."""
    await join(websocket, room)
    try:
        yield
    finally:
        leave(websocket, room)


async def join(websocket: ServerConnection, room: str) -> None:
    """Make a connection a member of a room until it leaves or ends.

    Returns when it gets all that is sent from now on, from other processes, too, unless the broker
    is away or takes longer than two seconds.
    """
    await _here().join(_ours(websocket), room)


def leave(websocket: ServerConnection, room: str) -> None:
    """End a connection's membership of a room, if there is one."""
    _here().leave(_ours(websocket), room)


async def send(room: str, message: Message, *, but: ServerConnection | None = None) -> None:
    """Send a message to all members of a room, but one if that is wanted.

    Waits for no member; for the broker only if that has fallen behind by thousands of messages.
    """
    await _here().send(room, message, but)


async def send_to_all(message: Message, *, but: ServerConnection | None = None) -> None:
    """Send a message to everybody who is a member of any room."""
    await _here().send(None, message, but)


class Rooms:
    """The rooms of one process, as far as its connections go."""

    def __init__(self, numbers: RoomNumbers, broker: Broker | None = None) -> None:
        """Let `broker` tell what other processes send."""
        self._members: dict[str, set[Connection]] = {}
        self._rooms: dict[Connection, set[str]] = {}
        self._numbers = numbers
        self._closing: set[asyncio.Task[None]] = set()
        self.broker = broker
        if broker is not None:
            broker.receive = self._receive

    async def join(self, connection: Connection, room: str) -> None:
        """Make a connection a member of a room; see the function of that name."""
        if connection.is_lost:
            return
        if connection not in self._rooms:
            self._rooms[connection] = set()
            connection.when_lost.append(self._forget)
        self._rooms[connection].add(room)
        self._members.setdefault(room, set()).add(connection)
        self._count()
        if self.broker is not None:
            await self.broker.hear(room)

    def leave(self, connection: Connection, room: str) -> None:
        """End a connection's membership of a room, if there is one."""
        members = self._members.get(room, set())
        if connection not in members:
            return
        members.discard(connection)
        self._rooms[connection].discard(room)
        if not members:
            del self._members[room]
            if self.broker is not None:
                self.broker.forget(room)
        self._count()

    async def send(
        self, room: str | None, message: Message, but: ServerConnection | None = None
    ) -> None:
        """Send a message to a room, or to members of any room."""
        self._numbers.messages["sent"] += 1
        self._deliver(room, message, but)
        if self.broker is not None:
            await self.broker.send(room, message)

    def _receive(self, room: str | None, message: Message) -> None:
        self._numbers.messages["received"] += 1
        self._deliver(room, message, None)

    def _deliver(self, room: str | None, message: Message, but: ServerConnection | None) -> None:
        members = self._rooms.keys() if room is None else self._members.get(room, set())
        reading: list[Connection] = []
        slow: list[Connection] = []
        for each in members:
            if each is not but:
                full = each.transport.get_write_buffer_size() > UNREAD
                (slow if full else reading).append(each)
        broadcast(reading, message)
        for each in slow:
            self._close(each)

    def _close(self, connection: Connection) -> None:
        """Close a connection that does not read; it is no member from now on."""
        self._numbers.slow += 1
        self._forget(connection)
        task = asyncio.create_task(connection.end(TOO_SLOW, CLOSING))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _forget(self, connection: Connection) -> None:
        for room in [*self._rooms.get(connection, ())]:
            self.leave(connection, room)
        self._rooms.pop(connection, None)

    def _count(self) -> None:
        self._numbers.rooms = len(self._members)


_process: Rooms | None = None


def open_rooms(config: Config, numbers: RoomNumbers) -> Rooms:
    """Open the rooms of this process, in its event loop."""
    global _process  # noqa: PLW0603 - a process has one harness
    broker = Broker(config.broker, config.broker_prefix, numbers) if config.broker else None
    _process = Rooms(numbers, broker)
    return _process


def _here() -> Rooms:
    if _process is None:
        raise RuntimeError("rooms are there while wsapp.run serves")
    return _process


def _ours(websocket: ServerConnection) -> Connection:
    if not isinstance(websocket, Connection):
        raise TypeError(f"rooms take connections of wsapp.run's handler, and {websocket!r} is none")
    return websocket
