"""Levels of message compression (permessage-deflate), by name."""

from __future__ import annotations

from dataclasses import dataclass

from websockets.exceptions import PayloadTooBig
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CTRL_OPCODES, Frame
from websockets.protocol import Protocol

GROWTH = 8
"""What zlib can't make smaller grows by an eighth at most: its least blocks have 127 bytes and take
five more each, or nine bits for a byte (deflate, RFC 1951)."""


@dataclass(frozen=True)
class Level:
    """What one level asks of zlib.

    Both numbers are zlib's own. Memory grows with each by a power of two, for every connection
    and in both directions.
    """

    window_bits: int
    mem_level: int

    def extension(self) -> ServerPerMessageDeflateFactory:
        """Return the extension that negotiates this level with a client."""
        return ServerPerMessageDeflateFactory(
            server_max_window_bits=self.window_bits,
            client_max_window_bits=self.window_bits,
            compress_settings={"memLevel": self.mem_level},
        )


LEVELS: dict[str, Level | None] = {
    "off": None,
    "low": Level(window_bits=11, mem_level=4),
    "medium": Level(window_bits=12, mem_level=5),
    "high": Level(window_bits=15, mem_level=8),
}
"""Name to level; None sends messages as they are.

From websockets' guides to memory and compression, with `medium` (its default) as the measure:

| level    | memory of a connection | size of messages | time to compress |
|----------|------------------------|------------------|------------------|
| `off`    | 14 KiB                 | +350 %           | none             |
| `low`    | 46 KiB                 | +10 %            | -4 %             |
| `medium` | 64 KiB                 |                  |                  |
| `high`   | 316 KiB                | -10 %            | +10 %            |
"""


class Roomy(Extension):
    """Takes compressed messages that are larger than what is in them.

    The library compares the limit with what is sent, before it is decompressed. What is in it must
    not pass the limit, and that is compared here.
    """

    def __init__(self, extension: Extension, room: int) -> None:
        self.name = extension.name
        self._extension = extension
        self._room = room

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Decode a frame. Raises PayloadTooBig for more in it than `max_size` without the room."""
        if frame.opcode in CTRL_OPCODES or max_size is None:
            return self._extension.decode(frame, max_size=max_size)
        limit = max(max_size - self._room, 0)
        # An empty fragment has a byte or two when it is compressed, and 0 is no limit to zlib.
        decoded = self._extension.decode(frame, max_size=max(limit, 1))
        if len(decoded.data) > limit:
            raise PayloadTooBig(len(decoded.data), limit)
        return decoded

    def encode(self, frame: Frame) -> Frame:
        """Encode a frame."""
        return self._extension.encode(frame)


def make_room(protocol: Protocol) -> None:
    """Let a connection with compression take any message whose content is within its limit."""
    size = protocol.max_message_size
    if size is None or not protocol.extensions:
        return
    room = size // GROWTH + 64
    protocol.max_message_size = size + room
    protocol.extensions = [Roomy(each, room) for each in protocol.extensions]
