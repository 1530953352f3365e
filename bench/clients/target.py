"""What clients connect to, and what they say to it. Pure.

The handshake and the messages are websockets' own work; here they are made once, and then used
for all clients.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.headers import parse_extension
from websockets.uri import parse_uri
from websockets.utils import accept_key

DEFLATE = ClientPerMessageDeflateFactory(client_max_window_bits=True)
"""What browsers offer, and websockets' client."""


@dataclass(frozen=True)
class Target:
    """A service, and where it is found."""

    url: str
    """Such as wss://ws.example.org/chat: gives the Host header, and the name in TLS."""
    addresses: tuple[tuple[str, int], ...]
    """IPv4 addresses and ports, which clients take in turn. No name is looked up."""
    offer: bool = False
    """Whether clients offer compression (permessage-deflate)."""

    @property
    def tls(self) -> bool:
        """Whether clients speak TLS."""
        return urlsplit(self.url).scheme == "wss"

    @property
    def host(self) -> str:
        """The service's name."""
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True)
class Handshake:
    """The opening handshake, the same for all clients."""

    request: bytes
    accept: str
    """What the answer must have in Sec-WebSocket-Accept."""

    def refusal(self, head: bytes) -> str | None:
        """Return what is wrong with the head of an answer, in a few words, or None."""
        status = head[9:12].decode("ascii", "replace")
        if status != "101":
            return status
        return None if f": {self.accept}\r\n".encode() in head + b"\r\n" else "wrong accept"


def handshake(target: Target) -> Handshake:
    """Return the opening handshake with a target."""
    protocol = ClientProtocol(
        parse_uri(target.url), extensions=[DEFLATE] if target.offer else None, max_size=None
    )
    return Handshake(protocol.connect().serialize(), accept_key(protocol.key))


def agreed(head: bytes) -> str:
    """Return what an answer's head says of extensions, or "" if it does not."""
    headers = Headers()
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        headers[name] = value.strip()
    return ", ".join(headers.get_all("Sec-WebSocket-Extensions"))


def text(size: int) -> bytes:
    """Return a message of some bytes, as compressible as JSON between programs mostly is."""
    entries = (
        f'{{"id":{n * 7919 % 100_003},"at":{n * 104_729 % 1_000_003},"on":true}},'
        for n in range(size // 20 + 1)
    )
    return "".join(entries).encode()[:size]


@functools.cache
def message(payload: bytes, extensions: str) -> bytes:
    """Return the frame for a text message, on a connection with these extensions.

    Compressed, it refers to nothing that was sent before. So it can be sent any number of times.
    """
    made: list[Extension] = [
        DEFLATE.process_response_params(parameters, [])
        for _, parameters in (parse_extension(extensions) if extensions else [])
    ]
    return Frame(Opcode.TEXT, payload).serialize(mask=True, extensions=made)


def pong(payload: bytes) -> bytes:
    """Return the answer to a ping."""
    return Frame(Opcode.PONG, payload).serialize(mask=True)


@dataclass
class Incoming:
    """Frames from a server: never masked, and never in fragments from those measured here."""

    buffer: bytearray = field(default_factory=bytearray)

    def frames(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take some bytes in; return the frames that are complete, as (opcode, payload)."""
        self.buffer += data
        found = []
        while (end := frame_end(self.buffer)) is not None and end <= len(self.buffer):
            start = 2 + {126: 2, 127: 8}.get(self.buffer[1], 0)
            found.append((self.buffer[0] & 15, bytes(self.buffer[start:end])))
            del self.buffer[:end]
        return found


def frame_end(data: bytes | bytearray) -> int | None:
    """Return where the first frame ends, or None if so few bytes do not tell."""
    if len(data) < 2:
        return None
    length = data[1]
    if length < 126:
        return length + 2
    size = 2 if length == 126 else 8
    if len(data) < 2 + size:
        return None
    return 2 + size + int.from_bytes(data[2 : 2 + size], "big")
