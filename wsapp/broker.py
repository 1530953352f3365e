"""The broker between processes: Valkey or Redis, by the client that its app has in its release.

Two connections: one hears what other processes send to rooms that have members here, the other one
sends. Either comes back by itself, and neither keeps what it could not pass on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wsapp.log import logger
from wsapp.metrics import RoomNumbers

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

QUEUE = 10_000
"""Messages that may wait to be sent to the broker. Whoever sends more waits while it is there."""

BATCH = 500
"""Messages that are sent to it at once."""

JOIN_LIMIT = 2.0
"""Seconds that hearing of a room may take: until the broker has confirmed it."""

ANSWER_LIMIT = 5.0
"""Seconds that the broker has to connect and to answer. Half of them without a word, and it is
asked for one."""

RETRY = 0.25
"""Seconds until it is tried again: within one after its return all is as before."""

FLUSH_LIMIT = 0.5
"""Seconds that the last messages have when the process ends."""

ORIGIN = 8
"""Bytes of random by which processes know what they have sent themselves."""

TEXT, BYTES = b"t", b"b"
"""What follows the origin: how the message goes to clients."""


class Broker:
    """The way to and from the rooms of other processes."""

    def __init__(self, url: str, prefix: str, numbers: RoomNumbers) -> None:
        """Begin to connect. `url` and `prefix` are `WS_BROKER` and `WS_BROKER_PREFIX`."""
        from redis.exceptions import RedisError  # noqa: PLC0415 - only apps with a broker have it

        self._not_there = (OSError, EOFError, RedisError)
        self._url, self._prefix = url, f"{prefix}:".encode()
        self._numbers = numbers
        self._origin = os.urandom(ORIGIN)
        self.receive: Callable[[str | None, str | bytes], None] = lambda room, message: None
        """Called with each message of other processes: its room, or None for all, and itself."""
        self._wanted: set[str] = set()
        self._told: set[str] = set()
        self._changed = asyncio.Event()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._hears = self._sends = False
        self._tried = False
        self._queue: asyncio.Queue[tuple[bytes, bytes] | None] = asyncio.Queue(QUEUE)
        self._is_stale = False
        """Whether what is sent by the connection that there is may lead nowhere."""
        self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._speak())]

    async def hear(self, room: str) -> None:
        """Hear of a room from now on; returns when the broker has confirmed it, or is away."""
        if room in self._wanted and room not in self._waiting:
            return
        self._wanted.add(room)
        if self._tried and not self._hears:
            return
        if room not in self._waiting:
            self._waiting[room] = asyncio.get_running_loop().create_future()
            self._changed.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._waiting[room]), JOIN_LIMIT)

    def forget(self, room: str) -> None:
        """Hear of a room no more."""
        self._wanted.discard(room)
        self._confirm(room)
        self._changed.set()

    async def send(self, room: str | None, message: str | bytes) -> None:
        """Send a message to a room, or to all, of other processes; it is lost if that can't be."""
        if self._tried and not self._sends:
            self._numbers.messages["lost"] += 1
            return
        kind, data = (TEXT, message.encode()) if isinstance(message, str) else (BYTES, message)
        await self._queue.put((self._channel(room), self._origin + kind + data))

    async def close(self) -> None:
        """Send what waits, for a moment, and go."""
        with suppress(TimeoutError):
            if self._sends:
                await asyncio.wait_for(self._queue.join(), FLUSH_LIMIT)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Hearing

    async def _hear(self) -> None:
        while True:
            try:
                async with self._client() as client, client.pubsub() as channels:
                    await channels.subscribe(self._channel(None))
                    self._told = set()
                    await self._follow_and_read(channels)
            except self._not_there as error:
                self._say(hears=False, why=error)
                # It has been silent for long, perhaps, and would lose what it is given first.
                self._is_stale = True
                with suppress(asyncio.QueueFull):
                    self._queue.put_nowait(None)
            await asyncio.sleep(RETRY)

    async def _follow_and_read(self, channels: PubSub) -> None:
        following = asyncio.create_task(self._follow(channels))
        reading = asyncio.create_task(self._read(channels))
        try:
            await asyncio.wait({following, reading}, return_when=asyncio.FIRST_COMPLETED)
            for each in (following, reading):
                if each.done():
                    each.result()
        finally:
            for each in (following, reading):
                each.cancel()
            await asyncio.gather(following, reading, return_exceptions=True)

    async def _follow(self, channels: PubSub) -> None:
        """Tell the broker which rooms are wanted, as that changes."""
        while True:
            self._changed.clear()
            new, old = self._wanted - self._told, self._told - self._wanted
            if new:
                await channels.subscribe(*map(self._channel, new))
            if old:
                await channels.unsubscribe(*map(self._channel, old))
            self._told = (self._told | new) - old
            await self._changed.wait()

    async def _read(self, channels: PubSub) -> None:
        asked = False
        while True:
            # Of a network that is cut, nothing else would tell.
            got = await channels.get_message(timeout=ANSWER_LIMIT / 2)
            if got is None:
                if asked:
                    raise TimeoutError(f"no answer for {ANSWER_LIMIT:g} s")
                await channels.ping()
            asked = got is None
            if got is not None:
                self._take(got)

    def _take(self, got: dict[str, Any]) -> None:
        if got["type"] == "subscribe":
            room = self._room(got["channel"])
            if room is not None:
                self._confirm(room)
            elif not self._hears:
                self._say(hears=True)
        elif got["type"] == "message":
            data: bytes = got["data"]
            if data.startswith(self._origin):
                return
            message = data[ORIGIN + 1 :]
            text = data[ORIGIN : ORIGIN + 1] == TEXT
            with suppress(UnicodeDecodeError):
                self.receive(self._room(got["channel"]), message.decode() if text else message)

    def _confirm(self, room: str) -> None:
        waiting = self._waiting.pop(room, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    # Sending

    async def _speak(self) -> None:
        while True:
            try:
                async with self._client() as client:
                    await client.ping()
                    self._is_stale = False
                    self._say(sends=True)
                    while not self._is_stale:
                        await self._send_some(client)
            except self._not_there as error:
                self._say(sends=False, why=error)
                self._lose(self._some())
                await asyncio.sleep(RETRY)

    async def _send_some(self, client: Redis) -> None:
        taken = [await self._queue.get(), *self._some(BATCH - 1)]
        try:
            async with client.pipeline(transaction=False) as pipeline:
                for channel, data in filter(None, taken):
                    pipeline.publish(channel, data)
                await pipeline.execute()
        except self._not_there:
            self._lose(taken)
            raise
        self._done(taken)

    def _some(self, most: int = QUEUE) -> list[tuple[bytes, bytes] | None]:
        """Take what waits."""
        return [self._queue.get_nowait() for _ in range(min(most, self._queue.qsize()))]

    def _lose(self, taken: list[tuple[bytes, bytes] | None]) -> None:
        self._numbers.messages["lost"] += sum(each is not None for each in taken)
        self._done(taken)

    def _done(self, taken: list[tuple[bytes, bytes] | None]) -> None:
        for _ in taken:
            self._queue.task_done()

    # Both

    def _client(self) -> Redis:
        """Return a client that fails at once: what it tried again could arrive twice."""
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        return Redis.from_url(
            self._url,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=ANSWER_LIMIT,
            socket_timeout=ANSWER_LIMIT,
            # Every server speaks it, and nothing newer is needed.
            protocol=2,
        )

    def _channel(self, room: str | None) -> bytes:
        return self._prefix + (b"all" if room is None else b"room:" + room.encode())

    def _room(self, channel: bytes) -> str | None:
        name = channel.removeprefix(self._prefix)
        return None if name == b"all" else name.removeprefix(b"room:").decode()

    def _say(
        self,
        *,
        hears: bool | None = None,
        sends: bool | None = None,
        why: BaseException | None = None,
    ) -> None:
        """Note whether the broker is there, and log when that changes."""
        before = self._numbers.broker
        self._hears = self._hears if hears is None else hears
        self._sends = self._sends if sends is None else sends
        self._tried = self._tried or why is not None or (self._hears and self._sends)
        if not self._tried:
            return
        now = self._numbers.broker = self._hears and self._sends
        if now is before:
            return
        if now:
            logger.info("the broker is there: rooms reach all processes")
        else:
            for room in [*self._waiting]:
                self._confirm(room)
            reason = str(why) or type(why).__name__
            logger.warning("the broker is away: rooms are in this process alone; %s", reason)
