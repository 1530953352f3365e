"""One client: from its socket to an open WebSocket."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import struct
from dataclasses import dataclass

from bench.clients.target import Handshake, Incoming, Target

LEAVE_NO_TRACE = struct.pack("ii", 1, 0)
"""SO_LINGER: close with a reset, so that TIME_WAIT holds no source port for a minute."""

ENOUGH = 65_536
"""Bytes to read at once: more than any answer here."""

NOT_NOW = (BlockingIOError, ssl.SSLWantReadError)


class RefusedError(Exception):
    """The handshake failed; the message is the reason in a few words, such as "503"."""


@dataclass(frozen=True)
class Access:
    """What all clients of a worker need to connect."""

    target: Target
    handshake: Handshake
    context: ssl.SSLContext


class Client:
    """A client that connects, shakes hands, and then has a WebSocket."""

    __slots__ = ("access", "begun", "head", "incoming", "is_open", "sock", "step")

    def __init__(self, access: Access) -> None:
        self.access = access
        self.is_open = False
        self.begun = 0.0
        """When the handshake began, in monotonic seconds."""

    def begin(self, now: float) -> int:
        """Start to connect; return the file descriptor to watch. Raises RefusedError."""
        self.begun = now
        self.incoming = Incoming()
        self.head = b""
        self.step = self._connected
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.sock: socket.socket | ssl.SSLSocket = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LEAVE_NO_TRACE)
        code = sock.connect_ex((self.access.target.address, self.access.target.port))
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            raise RefusedError(os.strerror(code))
        return sock.fileno()

    def advance(self) -> int:
        """Continue the handshake; return the epoll events to wait for, or 0 once it is done.

        Raises RefusedError.
        """
        try:
            return self.step()
        except NOT_NOW:
            return select.EPOLLIN
        except ssl.SSLWantWriteError:
            return select.EPOLLOUT
        except ssl.SSLError as error:
            raise RefusedError(f"TLS: {error.reason}") from error
        except OSError as error:
            raise RefusedError(error.strerror or str(error)) from error

    def _connected(self) -> int:
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise RefusedError(os.strerror(code))
        self.sock = self.access.context.wrap_socket(
            self.sock, do_handshake_on_connect=False, server_hostname=self.access.target.domain
        )
        self.step = self._secure
        return self._secure()

    def _secure(self) -> int:
        assert isinstance(self.sock, ssl.SSLSocket)
        self.sock.do_handshake()
        self.sock.send(self.access.handshake.request)
        self.step = self._answered
        return select.EPOLLIN

    def _answered(self) -> int:
        data = self.sock.recv(ENOUGH)
        self.head += data
        head, found, rest = self.head.partition(b"\r\n\r\n")
        if not found:
            if not data:
                raise RefusedError("closed")
            return select.EPOLLIN
        if refusal := self.access.handshake.refusal(head):
            raise RefusedError(refusal)
        self.head = b""
        self.incoming.buffer += rest
        self.is_open = True
        return 0

    def receive(self) -> list[tuple[int, bytes]] | None:
        """Return received frames as (opcode, payload), or None if the connection is gone."""
        try:
            data = self.sock.recv(ENOUGH)
        except NOT_NOW:
            return []
        except OSError:
            return None
        return self.incoming.frames(data) if data else None

    def cut(self) -> None:
        """Close the connection without a close frame."""
        self.is_open = False
        with contextlib.suppress(OSError):
            self.sock.close()
