"""Which web pages may connect: origins as `WS_ORIGINS` spells them."""

from __future__ import annotations

import re

Origin = str | re.Pattern[str]
"""One allowed origin: an exact one, or a pattern that the whole origin has to match."""

_SPELLING = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9*_.-]+)(:([0-9]{1,5}|\*))?")
# Web views of devices and applications: their pages come from no host.
_WITHOUT_HOST = re.compile(r"(?!(https?|wss?):)[a-z][a-z0-9+.-]*://")
_DEFAULT_PORT = re.compile(r"http://[^:]+:80|https://[^:]+:443")


def parse_origins(text: str) -> tuple[Origin, ...]:
    """Read origins separated by commas; raise ValueError with what would do.

    A `*` stands for one label of a host name, or the port, and never crosses a dot, a slash or
    a colon: `https://*.example.com` allows `https://a.example.com`, neither
    `https://example.com` nor `https://evil.com/.example.com`.
    """
    return tuple(_parse(part.strip()) for part in text.split(",") if part.strip())


def _parse(text: str) -> Origin:
    if text == "null":  # what browsers send for sandboxed frames and local files
        return text
    if text == "*":
        raise ValueError("leave it empty to allow any origin")
    if not (_SPELLING.fullmatch(text) or _WITHOUT_HOST.fullmatch(text)):
        raise ValueError(
            f'"{text}" isn\'t an origin as browsers send it; give a scheme, a host in lower case '
            "and a port unless it's the usual one, like https://example.com"
        )
    if _DEFAULT_PORT.fullmatch(text):
        raise ValueError(
            f'"{text}" has its scheme\'s usual port, which browsers leave out; '
            f"give {text.rpartition(':')[0]}"
        )
    if "*" not in text:
        return text
    return re.compile(re.escape(text).replace(r"\*", "[a-z0-9_-]+"))
