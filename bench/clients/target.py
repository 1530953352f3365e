"""What clients connect to and what they say to it. Pure.

websockets makes the handshake and the frames once; clients send the same bytes again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri
from websockets.utils import accept_key


@dataclass(frozen=True)
class Target:
    """A WebSocket service behind TLS."""

    domain: str
    """The Host header, and the server name in TLS."""
    address: str
    """IPv4 address; no name is looked up."""
    port: int


@dataclass(frozen=True)
class Handshake:
    """The opening handshake, the same for all clients."""

    request: bytes
    accept: str
    """The Sec-WebSocket-Accept that the response must have."""

    def refusal(self, head: bytes) -> str | None:
        """Return why the head of a response is a refusal, in a few words, or None."""
        status = head[9:12].decode("ascii", "replace")
        if status != "101":
            return status
        return None if f": {self.accept}\r\n".encode() in head + b"\r\n" else "wrong accept"


def handshake(target: Target) -> Handshake:
    """Return the opening handshake with a target; it offers no compression."""
    protocol = ClientProtocol(parse_uri(f"wss://{target.domain}/"))
    return Handshake(protocol.connect().serialize(), accept_key(protocol.key))


def message(size: int) -> bytes:
    """Return the frame of a text message with a payload of `size` bytes."""
    return Frame(Opcode.TEXT, b"x" * size).serialize(mask=True)


def pong(payload: bytes) -> bytes:
    """Return the frame that answers a ping."""
    return Frame(Opcode.PONG, payload).serialize(mask=True)


@dataclass
class Incoming:
    """Parser for frames of a server that masks and fragments none, as those measured here."""

    buffer: bytearray = field(default_factory=bytearray)

    def frames(self, data: bytes) -> list[tuple[int, bytes]]:
        """Add received bytes; return the frames that are complete, as (opcode, payload)."""
        self.buffer += data
        found = []
        while (end := frame_end(self.buffer)) is not None and end <= len(self.buffer):
            start = 2 + {126: 2, 127: 8}.get(self.buffer[1], 0)
            found.append((self.buffer[0] & 15, bytes(self.buffer[start:end])))
            del self.buffer[:end]
        return found


def frame_end(data: bytes | bytearray) -> int | None:
    """Return the offset at which the first frame ends, or None if its length is not there yet."""
    if len(data) < 2:
        return None
    length = data[1]
    if length < 126:
        return length + 2
    size = 2 if length == 126 else 8
    if len(data) < 2 + size:
        return None
    return 2 + size + int.from_bytes(data[2 : 2 + size], "big")
