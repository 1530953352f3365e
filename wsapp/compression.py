"""Levels of message compression (permessage-deflate), by name."""

from __future__ import annotations

from dataclasses import dataclass

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


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
