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

from bench.clients.target import Handshake, Incoming, Target, agreed

IP_BIND_ADDRESS_NO_PORT = 24
"""Linux' option to choose the source port when the other end is known (not in `socket`)."""

LEAVE_NO_TRACE = struct.pack("ii", 1, 0)
"""SO_LINGER: a reset, so that no source port is taken by TIME_WAIT for a minute."""

ENOUGH = 65_536
"""Bytes to read at once: more than any answer here."""

NOT_NOW = (BlockingIOError, ssl.SSLWantReadError)


class RefusedError(Exception):
    """The client did not get in; the argument says why in a few words, such as "503"."""


@dataclass(frozen=True)
class Way:
    """How clients of a worker get in."""

    target: Target
    handshake: Handshake
    context: ssl.SSLContext | None


class Client:
    """A client that connects, shakes hands, and then has a WebSocket."""

    __slots__ = (
        "address",
        "begun",
        "due",
        "extensions",
        "head",
        "incoming",
        "is_open",
        "resumed",
        "session",
        "sock",
        "source",
        "step",
        "way",
    )

    def __init__(self, way: Way, address: tuple[str, int], source: str | None) -> None:
        self.way = way
        self.address = address
        self.source = source
        self.session: ssl.SSLSession | None = None
        self.resumed = False
        self.is_open = False
        self.begun = 0.0
        """When this attempt was begun (monotonic seconds)."""
        self.due = 0.0
        """When what the client is measured for was begun, such as its last message."""

    def begin(self, now: float) -> int:
        """Start to connect; return the file descriptor to watch."""
        self.begun = now
        self.is_open = False
        self.incoming = Incoming()
        self.extensions = ""
        self.head = b""
        self.step = self._connected
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.sock: socket.socket | ssl.SSLSocket = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LEAVE_NO_TRACE)
        if self.source:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self.source, 0))
        code = sock.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            raise RefusedError(os.strerror(code))
        return sock.fileno()

    def advance(self) -> int:
        """Go on with the handshake; return what to wait for: events of epoll, 0 if it is open.

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
        if self.way.context is None:
            return self._ask()
        self.sock = self.way.context.wrap_socket(
            self.sock,
            do_handshake_on_connect=False,
            server_hostname=self.way.target.host,
            session=self.session,
        )
        self.step = self._secure
        return self._secure()

    def _secure(self) -> int:
        assert isinstance(self.sock, ssl.SSLSocket)
        self.sock.do_handshake()
        self.resumed = bool(self.sock.session_reused)
        return self._ask()

    def _ask(self) -> int:
        self.sock.send(self.way.handshake.request)
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
        if refusal := self.way.handshake.refusal(head):
            raise RefusedError(refusal)
        self.extensions = agreed(head) if self.way.target.offer else ""
        self.head = b""
        self.incoming.buffer += rest
        self.is_open = True
        return 0

    def remember(self) -> None:
        """Keep the TLS session, for the next connection to resume."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.session = self.sock.session

    def receive(self) -> list[tuple[int, bytes]] | None:
        """Return frames that have come, as (opcode, payload); None when the connection is gone."""
        try:
            data = self.sock.recv(ENOUGH)
        except NOT_NOW:
            return []
        except OSError:
            return None
        return self.incoming.frames(data) if data else None

    def say_goodbye(self) -> None:
        """Announce the end of TLS, before the connection is cut.

        OpenSSL forgets the session of a connection that ends without, so it can't be resumed.
        """
        if isinstance(self.sock, ssl.SSLSocket):
            # SSLError is an OSError, too: the other side's own goodbye is not waited for.
            with contextlib.suppress(OSError):
                # A reset would overtake it.
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
                self.sock.unwrap()

    def cut(self) -> None:
        """End the connection without a word."""
        self.is_open = False
        with contextlib.suppress(OSError):
            self.sock.close()
