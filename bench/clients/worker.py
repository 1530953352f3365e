"""A worker process: holds a share of the clients in one epoll loop and carries out commands."""

from __future__ import annotations

import gc
import resource
import select
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from bench.clients.client import Access, Client, RefusedError
from bench.clients.numbers import Observations
from bench.clients.target import Target, frame_end, handshake, message, pong

OPENING_LIMIT = 10.0
"""Seconds that a client waits for its handshake: the open_timeout of websockets."""

CLOSE, PING = 8, 9


@dataclass(frozen=True)
class Open:
    """Connect more clients, which stay."""

    count: int
    at_once: int


@dataclass(frozen=True)
class Echo:
    """Let every client send a message, and the next one when its echo is there."""

    size: int
    seconds: float
    warm_up: float
    """Seconds before, in which nothing is measured."""


@dataclass(frozen=True)
class Handshakes:
    """Connect and leave, again and again."""

    at_once: int
    seconds: float
    warm_up: float


@dataclass(frozen=True)
class Hold:
    """Stay connected and answer pings, until nobody is left."""

    seconds: float


Command = Open | Echo | Handshakes | Hold


class Worker:
    """The clients of one process."""

    def __init__(self, target: Target) -> None:
        self.access = Access(target, handshake(target), _context())
        self.epoll = select.epoll()
        self.clients: dict[int, Client] = {}
        """Connected clients and those that shake hands, by file descriptor."""
        self.opening: deque[tuple[float, int, Client]] = deque()
        """Handshakes by the time they began, with those that are done since."""
        self.leaving = False
        """Whether a client leaves as soon as its handshake is done."""
        self.seen = Observations()

    def run(self, pipe: Connection) -> None:
        """Carry out commands from a pipe until the other end closes it."""
        # There is no garbage, and looking for it among all clients would delay messages.
        gc.disable()
        # An idle worker sleeps until a client or a command needs it.
        self.epoll.register(pipe.fileno(), select.EPOLLIN)
        while True:
            while not pipe.poll():
                self.step(1.0)
            try:
                command, begin = pipe.recv()
            except EOFError:
                for fd, client in list(self.clients.items()):
                    self.drop(fd, client)
                return
            pipe.send(self.do(command, begin))

    def do(self, command: Command, begin: float) -> Observations:
        """Carry out a command from `begin` on (monotonic seconds)."""
        self.seen = seen = Observations()
        time.sleep(max(0.0, begin - time.monotonic()))
        processor = time.process_time()
        methods: dict[type, Callable[..., float]] = {
            Open: self._open,
            Echo: self._echo,
            Handshakes: self._handshakes,
            Hold: self._hold,
        }
        seen.seconds = methods[type(command)](command)
        seen.processor = time.process_time() - processor
        seen.held = sum(client.is_open for client in self.clients.values())
        return seen

    # ---- the epoll loop ----

    def begin(self) -> None:
        """Start to connect one more client."""
        now, client = time.monotonic(), Client(self.access)
        try:
            fd = client.begin(now)
        except RefusedError as reason:
            self.seen.refused[str(reason)] += 1
            return
        self.clients[fd] = client
        self.epoll.register(fd, select.EPOLLOUT)
        self.opening.append((now, fd, client))

    def step(self, timeout: float) -> bool:
        """Handle what happens within so many seconds; return whether anything did."""
        events = self.epoll.poll(timeout, 256)
        for fd, _ in events:
            client = self.clients.get(fd)
            if client is None:
                continue
            if client.is_open:
                self.handle(fd, client, client.receive())
            else:
                self._advance(fd, client)
        self._expire()
        return bool(events)

    def handle(self, fd: int, client: Client, frames: list[tuple[int, bytes]] | None) -> None:
        """Answer pings and notice the end of a connection; None means that it was cut."""
        if frames is None:
            self._end(fd, client, 1006)
            return
        for opcode, payload in frames:
            if opcode == PING:
                try:
                    client.sock.send(pong(payload))
                except OSError:
                    self._end(fd, client, 1006)
                    return
            elif opcode == CLOSE:
                self._end(fd, client, int.from_bytes(payload[:2], "big") or 1005)
                return

    def drop(self, fd: int, client: Client) -> None:
        """Cut a connection from this side."""
        del self.clients[fd]
        client.cut()

    def _end(self, fd: int, client: Client, code: int) -> None:
        self.drop(fd, client)
        self.seen.cut.append((time.monotonic(), code))

    def _advance(self, fd: int, client: Client) -> None:
        try:
            wanted = client.advance()
        except RefusedError as reason:
            self.drop(fd, client)
            self.seen.refused[str(reason)] += 1
            return
        self.epoll.modify(fd, wanted or select.EPOLLIN)
        if wanted:
            return
        self.seen.handshakes += 1
        if self.leaving:
            self.drop(fd, client)

    def _expire(self) -> None:
        limit = time.monotonic() - OPENING_LIMIT
        while self.opening:
            begun, fd, client = self.opening[0]
            under_way = self.clients.get(fd) is client and not client.is_open
            if under_way and begun >= limit:
                return
            self.opening.popleft()
            if under_way:
                self.drop(fd, client)
                self.seen.refused["timeout"] += 1

    # ---- commands; each returns the seconds it measured ----

    def _open(self, command: Open) -> float:
        seen, begun, start = self.seen, 0, time.monotonic()
        while (done := seen.handshakes + seen.refused.total()) < command.count:
            for _ in range(min(command.count - begun, command.at_once - begun + done)):
                begun += 1
                self.begin()
            self.step(0.1)
        return time.monotonic() - start

    def _hold(self, command: Hold) -> float:
        start = time.monotonic()
        while self.clients and (left := start + command.seconds - time.monotonic()) > 0:
            self.step(left)
        return time.monotonic() - start

    def _handshakes(self, command: Handshakes) -> float:
        self.leaving = True
        began, warm = time.monotonic() + command.warm_up, False
        while (now := time.monotonic()) < began + command.seconds:
            if not warm and now >= began:
                warm, began, self.seen.handshakes = True, now, 0
            for _ in range(command.at_once - len(self.clients)):
                self.begin()
            self.step(0.1)
        seconds = time.monotonic() - began
        for fd, client in list(self.clients.items()):
            self.drop(fd, client)
        self.leaving = False
        return seconds

    def _echo(self, command: Echo) -> float:
        clock, poll = time.monotonic, self.epoll.poll
        frame = message(command.size)
        # All that the loop needs of a client, in one look-up.
        talks = {
            fd: (client, client.sock.recv_into, client.sock.send, client.incoming.buffer)
            for fd, client in self.clients.items()
        }
        room = bytearray(command.size + 512)
        for fd, (client, _, send, _) in talks.items():
            try:
                send(frame)
            except OSError:
                self.handle(fd, client, None)
        began = clock() + command.warm_up
        end = began + command.seconds
        count, warm = 0, False
        while self.clients and (now := clock()) < end:
            if not warm and now >= began:
                warm, began, count = True, now, 0
            for fd, _ in poll(0.1, 1024):
                client, receive, send, rest = talks[fd]
                try:
                    size = receive(room)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                except OSError:
                    size = 0
                # Mostly a read is one whole echo; anything else is parsed.
                whole = size > 1 and room[0] & 15 < 3 and not rest and frame_end(room) == size
                if not whole and not self._echoed(fd, client, bytes(room[:size])):
                    continue
                count += 1
                try:
                    send(frame)
                except OSError:
                    self.handle(fd, client, None)
        seconds, self.seen.messages = max(0.0, clock() - began), count
        # The last echoes must not be taken for answers to the next command's messages.
        quiet = clock()
        while clock() < quiet + 0.3:
            if self.step(0.1):
                quiet = clock()
        return seconds

    def _echoed(self, fd: int, client: Client, data: bytes) -> bool:
        """Parse received bytes; return whether they complete an echo."""
        frames = client.incoming.frames(data) if data else None
        control = None if frames is None else [frame for frame in frames if frame[0] > 2]
        self.handle(fd, client, control)
        return client.is_open and frames != control


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The deployment has verified the certificate; here it would only cost time.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def work(pipe: Connection, target: Target, files: int) -> None:
    """Be a worker: the main function of a process that may open so many files."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    worker = Worker(target)
    pipe.send("ready")
    worker.run(pipe)
