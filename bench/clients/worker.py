"""A worker process: it has a share of the clients, and does with them what it is told."""

from __future__ import annotations

import gc
import heapq
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from websockets.client import backoff

from bench.clients.client import Client, Way
from bench.clients.engine import Engine
from bench.clients.numbers import Seen
from bench.clients.target import Target, frame_end, handshake, message

RETRIED = {"500", "502", "503", "504"}
"""Answers after which websockets' client tries again; after others (429, 403) it gives up. It also
tries again if there is no answer."""


@dataclass(frozen=True)
class Open:
    """Bring in more clients."""

    count: int
    at_once: int
    most_refused: int
    """Stop when so many attempts have failed."""


@dataclass(frozen=True)
class Echo:
    """Every client sends a message, and the next one when its echo is there."""

    payload: bytes
    seconds: float
    warm_up: float
    """Seconds before, in which nothing is measured."""


@dataclass(frozen=True)
class Handshakes:
    """Connect and leave, again and again; those who are in already stay."""

    at_once: int
    seconds: float
    warm_up: float
    resume: bool
    """Whether clients resume their last TLS session."""
    pause: float
    """Seconds for which a client waits that was refused."""


@dataclass(frozen=True)
class Reconnect:
    """Everybody comes back who loses the connection, until all have been back once."""

    cut: bool
    """Whether all clients lose it at the start; otherwise, the server must end them."""
    patient: bool
    """Whether clients who are refused wait before they try again, as websockets' does."""
    resume: bool
    limit: float
    """Seconds after which it ends in any case."""


@dataclass(frozen=True)
class Leave:
    """Cut all connections."""


Command = Open | Echo | Handshakes | Reconnect | Leave


class Worker:
    """Clients of one process."""

    def __init__(self, target: Target, sources: tuple[str, ...], number: int) -> None:
        self.way = Way(target, handshake(target), _context() if target.tls else None)
        self.sources = sources or (None,)
        self.engine = Engine()
        self.made = number
        self.seen = Seen()

    def run(self, pipe: Connection) -> None:
        """Do what comes through the pipe, until it is closed."""
        # There is nothing to collect; a look at all clients would cost each message some time.
        gc.disable()
        while True:
            while not pipe.poll():
                # Clients stay connected, and answer pings.
                self.engine.step(0.02)
            try:
                command, begin = pipe.recv()
            except EOFError:
                self.engine.cut_all()
                return
            pipe.send(self.do(command, begin))

    def do(self, command: Command, begin: float) -> Seen:
        """Do what a command says, from a moment on (monotonic seconds)."""
        self.seen = seen = Seen()
        self.engine.on_open = self._opened
        self.engine.on_refused = self._refused
        self.engine.on_ended = self._ended
        time.sleep(max(0.0, begin - time.monotonic()))
        processor, began = time.process_time(), time.monotonic()
        methods: dict[type, Callable[..., float | None]] = {
            Open: self._open,
            Echo: self._echo,
            Handshakes: self._handshakes,
            Reconnect: self._reconnect,
            Leave: self._leave,
        }
        measured = methods[type(command)](command)
        seen.processor = time.process_time() - processor
        seen.seconds = measured if measured is not None else time.monotonic() - began
        seen.held = sum(client.is_open for client in self.engine.clients.values())
        return seen

    def _client(self) -> Client:
        addresses = self.way.target.addresses
        client = Client(
            self.way,
            addresses[self.made % len(addresses)],
            self.sources[self.made % len(self.sources)],
        )
        self.made += 1
        return client

    # ---- what happens to clients, if nothing else is said ----

    def _opened(self, client: Client) -> None:
        now = time.monotonic()
        self.seen.opened.append(now)
        self.seen.waited.append(now - (client.due or client.begun))
        self.seen.resumed += client.resumed
        client.remember()

    def _refused(self, client: Client, reason: str) -> None:
        self.seen.refuse(time.monotonic(), reason)

    def _ended(self, client: Client, code: int) -> None:
        self.seen.lost[code] += 1

    # ---- commands; each returns the seconds it measured, or None for all of them ----

    def _open(self, command: Open) -> None:
        seen, begun, count = self.seen, 0, command.count
        while True:
            failed = seen.refused.total()
            if failed >= command.most_refused:
                count = begun
            under_way = begun - len(seen.opened) - failed
            if begun == count and not under_way:
                return
            for _ in range(min(count - begun, command.at_once - under_way)):
                begun += 1
                self.engine.begin(self._client())
            self.engine.step(0.1)

    def _leave(self, command: Leave) -> None:
        self.engine.cut_all()

    def _echo(self, command: Echo) -> float:
        engine, latencies = self.engine, self.seen.latencies
        clock, poll = time.monotonic, engine.epoll.poll
        # Everything that the loop needs of a client, with one look.
        talks = {
            fd: (
                client,
                client.sock.recv_into,
                client.sock.send,
                message(command.payload, client.extensions),
                client.incoming.buffer,
            )
            for fd, client in engine.clients.items()
            if client.is_open
        }
        room = bytearray(len(command.payload) + 512)
        for fd, (client, _, send, frame, _) in talks.items():
            client.due = clock()
            try:
                send(frame)
            except OSError:
                engine.handle(fd, client, None)
        began = clock() + command.warm_up
        end = began + command.seconds
        from_here = 0
        warm = False
        while True:
            for fd, _ in poll(0.1, 1024):
                client, receive, send, frame, rest = talks[fd]
                try:
                    size = receive(room)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                except OSError:
                    size = 0
                # Mostly it is the whole echo, and nothing else. All else is looked at properly.
                whole = size > 1 and room[0] & 15 < 3 and not rest and frame_end(room) == size
                if not whole and not self._echoed(fd, client, bytes(room[:size])):
                    continue
                now = clock()
                latencies.append(now - client.due)
                client.due = now
                try:
                    send(frame)
                except OSError:
                    engine.handle(fd, client, None)
            now = clock()
            if not warm and now >= began:
                warm, began, from_here = True, now, len(latencies)
            if now >= end or not engine.clients:
                break
        seconds = max(0.0, clock() - began)
        del latencies[:from_here]
        self._await_echoes()
        return seconds

    def _echoed(self, fd: int, client: Client, data: bytes) -> bool:
        """Take some bytes in; tell whether they complete an echo."""
        frames = client.incoming.frames(data) if data else None
        control = None if frames is None else [frame for frame in frames if frame[0] > 2]
        self.engine.handle(fd, client, control)
        return client.is_open and frames != control

    def _await_echoes(self) -> None:
        """Let the last echoes come in, so that none is taken for one of the next messages."""
        quiet = time.monotonic()
        while time.monotonic() < quiet + 0.3:
            if self.engine.step(0.1):
                quiet = time.monotonic()

    def _handshakes(self, command: Handshakes) -> float:
        engine, seen = self.engine, self.seen
        leaving: list[Client] = []
        waiting: deque[tuple[float, Client]] = deque()

        def again(client: Client) -> None:
            if not command.resume:
                client.session = None
            leaving.append(client)

        def opened(client: Client) -> None:
            client.due = 0.0
            self._opened(client)
            fd = client.sock.fileno()
            if command.resume:
                client.say_goodbye()
            engine.drop(fd, client)
            again(client)

        def refused(client: Client, reason: str) -> None:
            self._refused(client, reason)
            waiting.append((time.monotonic() + command.pause, client))

        engine.on_open, engine.on_refused = opened, refused
        for _ in range(command.at_once):
            engine.begin(self._client())
        began = time.monotonic() + command.warm_up
        warm = False
        while (now := time.monotonic()) < began + command.seconds:
            if not warm and now >= began:
                warm, began = True, now
                self.seen.opened, self.seen.waited = type(seen.opened)("d"), type(seen.waited)("d")
                seen.resumed = 0
            engine.step(min(0.1, max(0.0, waiting[0][0] - now)) if waiting else 0.1)
            while waiting and waiting[0][0] <= time.monotonic():
                again(waiting.popleft()[1])
            again_now, leaving[:] = leaving[:], []
            for client in again_now:
                engine.begin(client)
        seconds = time.monotonic() - began
        for fd, client in list(engine.clients.items()):
            if not client.is_open:
                engine.drop(fd, client)
        return seconds

    def _reconnect(self, command: Reconnect) -> None:
        engine, seen = self.engine, self.seen
        waiting: list[tuple[float, int, Client]] = []
        waits: dict[Client, Iterator[float]] = {}
        to_come = sum(client.is_open for client in engine.clients.values())
        order = iter(range(1 << 60))

        def come_back(client: Client, after: float = 0.0) -> None:
            heapq.heappush(waiting, (time.monotonic() + after, next(order), client))

        def lose(client: Client) -> None:
            client.due = time.monotonic()
            if not command.resume:
                client.session = None
            waits.pop(client, None)
            come_back(client)

        def ended(client: Client, code: int) -> None:
            self._ended(client, code)
            lose(client)

        def refused(client: Client, reason: str) -> None:
            self._refused(client, reason)
            if reason.isdecimal() and reason not in RETRIED:
                seen.given_up += 1
                return
            delays = waits.setdefault(client, backoff())
            come_back(client, next(delays) if command.patient else 0.01)

        engine.on_refused, engine.on_ended = refused, ended
        if command.cut:
            for fd, client in list(engine.clients.items()):
                engine.drop(fd, client)
                lose(client)
        end = time.monotonic() + command.limit
        while time.monotonic() < end and len(seen.opened) + seen.given_up < to_come:
            while waiting and waiting[0][0] <= time.monotonic():
                engine.begin(heapq.heappop(waiting)[2])
            next_one = waiting[0][0] - time.monotonic() if waiting else 0.1
            engine.step(min(0.1, max(0.0, next_one)))
        still = sum(client.is_open for client in engine.clients.values())
        seen.away = to_come - still


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Whose certificate it is, was checked when it was deployed; here it would only cost time.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def work(
    pipe: Connection, target: Target, sources: tuple[str, ...], number: int, files: int
) -> None:
    """Be a worker: the main function of a process."""
    import resource  # noqa: PLC0415

    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    ready = Worker(target, sources, number)
    pipe.send("ready")
    ready.run(pipe)
