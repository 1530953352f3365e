"""What proxies let through, in the words that both of them understand. Pure.

nginx and HAProxy both have PCRE: a pattern here means the same to each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from wsdeploy.settings import Settings

RETRY_AFTER = 10
"""Seconds that a client is told to wait who is refused for now."""

WINDOW = 10
"""Seconds over which handshakes are counted: an office that comes back after a restart does so
within moments, which is no attack."""

LOOPBACK = ("127.0.0.0/8", "::1/128")
"""A host's own checks. They are not limited, and do not come through a balancer."""

LEAST_CONNECTIONS = 1000
"""WebSockets that one address may always have: a service of some hundred clients can have all of
them in one office."""

# A node of nginx's zones takes up to this many bytes, key and all.
NODE = 128


def connections(settings: Settings) -> int:
    """Return how many WebSockets one address may have."""
    given = settings.edge.connections
    return max(LEAST_CONNECTIONS, settings.max_connections // 2) if given is None else given


def at_once(settings: Settings) -> int:
    """Return how many handshakes one address may do within the window."""
    return settings.edge.handshakes_per_second * WINDOW


def origin_patterns(settings: Settings) -> list[str]:
    """Return regular expressions for the origins that are let in."""
    return [_pattern(origin, "[a-z0-9_-]+") for origin in settings.edge.origins]


def handshake_paths(settings: Settings) -> list[str]:
    """Return regular expressions for the paths where handshakes are taken: all if none is given."""
    return path_patterns(settings.edge.paths or ("/*",))


def path_patterns(paths: Sequence[str]) -> list[str]:
    """Return regular expressions for paths, where a * at the end is anything."""
    return [_pattern(path.removesuffix("*"), "", whole=not path.endswith("*")) for path in paths]


def _pattern(text: str, star: str, whole: bool = True) -> str:
    # \z and not $, which a line break may follow.
    return "^" + re.escape(text).replace(r"\*", star) + (r"\z" if whole else "")


def zone_size(settings: Settings) -> int:
    """Return the megabytes of nginx's memory for counting clients by address.

    Each client may have an address of its own. If it were full, nginx would refuse everybody.
    """
    return max(10, 2 * settings.max_connections * NODE // 1_000_000)


def table_size(settings: Settings) -> int:
    """Return how many addresses HAProxy remembers; it takes memory only for those it has."""
    return max(100_000, 2 * settings.max_connections)


def hsts(settings: Settings) -> str | None:
    """Return the value of Strict-Transport-Security, or None if none is sent."""
    if not settings.tls.hsts:
        return None
    more = "; includeSubDomains" if settings.tls.hsts_subdomains else ""
    return f"max-age={settings.tls.hsts}{more}"


def shutdown_timeout(settings: Settings) -> int | None:
    """Return the whole seconds that old workers may live after a reload; None for ever."""
    given = settings.proxy.shutdown_timeout
    return None if given is None else int(given)
