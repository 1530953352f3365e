"""Be a WebSocket client for a moment: handshake, ping, an optional message, a clean close.

This is the gate of a rollout (on each process's listener) and the last check of a deployment (on
the proxy, over TLS, with the certificate verified). RFC 6455 section numbers are given where they
explain a number.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from wshost.common.text import spelt

if TYPE_CHECKING:
    from wshost.requests import Handshake


MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA  # section 5.2
LONGEST_HEAD = 16_384


class ProbeError(Exception):
    """The service did not behave as a WebSocket service should; the message says how."""


# A dataclass would have Python load its parser: 5 ms of a survey's 75 on Debian 12.
class Target(NamedTuple):
    """Where a service listens: a unix socket's path, or an address and port, with TLS or without.

    `authority` is a file with certificates to trust instead of the system's. `origin` is sent as a
    web page's browser would; None sends none, as other programs do.
    """

    host: str
    path: str = "/"
    unix: str | None = None
    address: tuple[str, int] = ("localhost", 443)
    tls: bool = False
    authority: str | None = None
    origin: str | None = None

    def connect(self, timeout: float) -> socket.socket:
        """Return a connected socket. Raises OSError, of which TLS errors are a kind."""
        if self.unix:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            connection.connect(self.unix)
            return connection
        connection = socket.create_connection(self.address, timeout)
        if not self.tls:
            return connection
        context = ssl.create_default_context(cafile=self.authority)
        if self.authority:
            # What is trusted may be the service's own certificate, whoever has issued it.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context.wrap_socket(connection, server_hostname=self.host)


def main(request: Handshake) -> None:
    """Probe the service in `request`; exit 1 and say what was wrong if it fails."""
    target = target_of(request)
    try:
        handshake(target, request["timeout"], request["send"], request["expect"])
    except (ProbeError, OSError) as error:
        # What comes after the path may be a token.
        sys.exit(f"wss://{target.host}{target.path.partition('?')[0]}: {error}")
    json.dump({"passed": True}, sys.stdout)


def target_of(request: Handshake) -> Target:
    """Return where the client of a request goes."""
    asked = request["target"]
    host, port = asked["address"]
    return Target(
        host=asked["host"],
        path=asked["path"],
        address=(str(host), int(port)),
        tls=asked["tls"],
        authority=asked["authority"],
        origin=asked["origin"],
    )


NO_PATH = ("404", "405", "426")
"""What servers answer at a path that they don't have: websockets 426, most others 404 or 405."""


def health(target: Target, path: str, timeout: float) -> None:
    """Check that a plain GET of `path` is answered with 200. Raises ProbeError or OSError."""
    with target.connect(timeout) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {target.host}\r\nConnection: close\r\n\r\n".encode()
        )
        status = _read_head(connection).status
    if status != "200":
        hint = "; say health=None if the app has no such path" if status in NO_PATH else ""
        raise ProbeError(f"{path} answers {spelt(status)}, not 200{hint}")


def handshake(
    target: Target,
    timeout: float,
    send: str | None = None,
    expect: str | None = None,
    opened: Callable[[socket.socket], None] = lambda _: None,
) -> None:
    """Open a WebSocket, ping it, exchange a message if there is one, and close it cleanly.

    timeout: seconds for each step. opened: called with the connection once it is a WebSocket.
    Raises ProbeError or OSError.
    """
    with target.connect(timeout) as connection:
        stream = _Stream(connection)
        _upgrade(stream, target)
        opened(connection)
        payload = os.urandom(8)
        stream.send(PING, payload)
        if stream.receive(PONG)[1] != payload:
            raise ProbeError("the answer to a ping was not the ping's own payload")
        if send is not None:
            stream.send(TEXT, send.encode())
        if expect is not None:
            answer = stream.message().decode(errors="replace")
            if expect not in answer:
                # An echo may be of a secret.
                said = answer.replace(send, "(what was sent)") if send else answer
                raise ProbeError(f"App.probe expects {expect!r}, and {said[:200]!r} came back")
        stream.send(CLOSE, struct.pack("!H", 1000))
        code = struct.unpack("!H", stream.receive(CLOSE)[1][:2].ljust(2, b"\0"))[0]
        if code != 1000:
            raise ProbeError(f"the close was answered with code {code}, not 1000")


class _Head(NamedTuple):
    status: str
    headers: dict[str, str]
    rest: bytes


def _read_head(connection: socket.socket) -> _Head:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(4096)
        if not chunk or len(data) > LONGEST_HEAD:
            raise ProbeError("the connection was closed without an HTTP response")
        data += chunk
    head, rest = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    return _Head([*first.split(), "", ""][1], headers, rest)


def _upgrade(stream: _Stream, target: Target) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    origin = f"Origin: {target.origin}\r\n" if target.origin else ""
    stream.connection.sendall(
        (
            f"GET {target.path} HTTP/1.1\r\nHost: {target.host}\r\n{origin}"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
    )
    head = _read_head(stream.connection)
    if head.status != "101":
        raise ProbeError(f"the handshake was answered with {spelt(head.status)}, not 101")
    accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()  # noqa: S324
    if head.headers.get("sec-websocket-accept") != accept:
        raise ProbeError("the handshake was answered for another client's key")
    stream.buffer = head.rest


class _Stream:
    """Frames over a connection, as a client sends them (masked) and gets them (unmasked)."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""
        self.messages: list[bytes] = []

    def send(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65_536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.connection.sendall(head + mask + masked)

    def message(self) -> bytes:
        """Return the next message, which may have come before it was asked for."""
        return self.messages.pop(0) if self.messages else self.receive(TEXT, BINARY)[1]

    def receive(self, *wanted: int) -> tuple[int, bytes]:
        """Return the next message or control frame of a wanted kind: its opcode and its payload.

        Pings are answered on the way, and other messages are kept for later.
        """
        kind, parts = 0, b""
        while True:
            opcode, final, payload = self._frame()
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode in wanted and opcode >= CLOSE:
                return opcode, payload
            elif opcode == CLOSE:
                code = struct.unpack("!H", payload[:2].ljust(2, b"\0"))[0]
                raise ProbeError(f"the app closed the connection with code {code}")
            elif opcode < CLOSE:
                # A message is a frame of its kind and then continuations, which have opcode 0.
                kind, parts = opcode or kind, parts + payload if opcode == 0 else payload
                if final and kind in wanted:
                    return kind, parts
                if final:
                    self.messages.append(parts)

    def _frame(self) -> tuple[int, bool, bytes]:
        """Return the next frame: opcode, whether it ends its message, payload."""
        first, size = struct.unpack("!BB", self._take(2))
        if size == 126:
            size = struct.unpack("!H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._take(8))[0]
        return first & 0x0F, bool(first & 0x80), self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            chunk = self.connection.recv(65_536)
            if not chunk:
                raise ProbeError("the connection was cut without a close frame")
            self.buffer += chunk
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken
