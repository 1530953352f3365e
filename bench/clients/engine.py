"""A worker's epoll loop: brings clients in, answers pings, and notices who has gone."""

from __future__ import annotations

import collections
import select
import time
from collections.abc import Callable

from bench.clients.client import Client, RefusedError
from bench.clients.target import pong

OPENING_LIMIT = 10.0
"""Seconds that a client waits for its handshake, as websockets' does (open_timeout)."""

CLOSE, PING = 8, 9


class Engine:
    """Clients of one worker, and what is to be done when something happens to them."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.clients: dict[int, Client] = {}
        """By file descriptor: all that are in, or on their way."""
        self.opening: collections.deque[tuple[float, int, Client]] = collections.deque()
        """Those on their way, in the order they began, with those that are through already."""
        self.on_open: Callable[[Client], None] = _nothing
        self.on_refused: Callable[[Client, str], None] = _no_refusal
        """What to do with a client who did not get in, and why."""
        self.on_ended: Callable[[Client, int], None] = _no_end
        """What to do with a client whose connection the server has ended, and the close code."""

    def begin(self, client: Client) -> None:
        """Start to connect a client."""
        now = time.monotonic()
        try:
            fd = client.begin(now)
        except RefusedError as reason:
            self.on_refused(client, str(reason))
            return
        self.clients[fd] = client
        self.epoll.register(fd, select.EPOLLOUT)
        self.opening.append((now, fd, client))

    def step(self, timeout: float) -> bool:
        """Do what there is to do, waiting for it for so many seconds. Tell if there was any."""
        events = self.epoll.poll(timeout, 256)
        for fd, _ in events:
            client = self.clients.get(fd)
            if client is None:
                continue
            if client.is_open:
                self.incoming(fd, client)
            else:
                self._advance(fd, client)
        self._expire()
        return bool(events)

    def incoming(self, fd: int, client: Client) -> None:
        """Take in what an open connection has, which is no answer to a message."""
        self.handle(fd, client, client.receive())

    def handle(self, fd: int, client: Client, frames: list[tuple[int, bytes]] | None) -> None:
        """Answer pings; notice the end of a connection."""
        if frames is None:
            self.drop(fd, client)
            self.on_ended(client, 1006)
            return
        for opcode, payload in frames:
            if opcode == PING:
                try:
                    client.sock.send(pong(payload))
                except OSError:
                    self.drop(fd, client)
                    self.on_ended(client, 1006)
                    return
            elif opcode == CLOSE:
                self.drop(fd, client)
                self.on_ended(client, int.from_bytes(payload[:2], "big") or 1005)
                return

    def drop(self, fd: int, client: Client) -> None:
        """Cut a connection."""
        del self.clients[fd]
        client.cut()

    def cut_all(self) -> None:
        """Cut all connections."""
        for fd, client in list(self.clients.items()):
            self.drop(fd, client)
        self.opening.clear()

    def _advance(self, fd: int, client: Client) -> None:
        try:
            wanted = client.advance()
        except RefusedError as reason:
            self.drop(fd, client)
            self.on_refused(client, str(reason))
            return
        # What is wanted is mostly what is watched already, but for the first step.
        self.epoll.modify(fd, wanted or select.EPOLLIN)
        if not wanted:
            self.on_open(client)

    def _expire(self) -> None:
        limit = time.monotonic() - OPENING_LIMIT
        while self.opening and (
            self.opening[0][0] < limit
            or self.opening[0][2].is_open
            or self.clients.get(self.opening[0][1]) is not self.opening[0][2]
        ):
            begun, fd, client = self.opening.popleft()
            late = self.clients.get(fd) is client and not client.is_open and client.begun == begun
            if late:
                self.drop(fd, client)
                self.on_refused(client, "timeout")


def _nothing(client: Client) -> None: ...


def _no_refusal(client: Client, reason: str) -> None: ...


def _no_end(client: Client, code: int) -> None: ...
