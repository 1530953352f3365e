"""The deployed proxy's configuration without TLS, to see what TLS costs. Pure.

Port 80 of a deployed proxy redirects to https, so this is for the benchmark alone: the same file,
but for the listeners.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PORT = 8080
"""Where the service listens without TLS."""

OTHER_PORT = 8081
"""What port 80 of the deployed file becomes."""

Change = tuple[str, str]

NGINX: Sequence[Change] = (
    (r"listen (\[::\]:)?443 ssl", rf"listen \g<1>{PORT}"),
    (r"listen (\[::\]:)?80\b", rf"listen \g<1>{OTHER_PORT}"),
    (r"pid \S+;", "pid /run/nginx-plain.pid;"),
    (r" *ssl_reject_handshake on;\n", ""),
)
HAPROXY: Sequence[Change] = (
    (r"bind (\[::\])?:443( v6only)? ssl .*", rf"bind \g<1>:{PORT}\g<2>"),
    (r"bind (\[::\])?:80\b", rf"bind \g<1>:{OTHER_PORT}"),
    (r"stats socket \S+", "stats socket /run/haproxy/plain.sock"),
    (r"str\(https\)", "str(http)"),
)


def without_tls(configuration: str, changes: Sequence[Change]) -> str:
    """Return a proxy's configuration with listeners without TLS, on other ports.

    Raises ValueError if there is nothing to change: then the template's words are others now.
    """
    for pattern, replacement in changes:
        configuration, count = re.subn(pattern, replacement, configuration)
        if not count:
            raise ValueError(f"nothing in the configuration matches {pattern}")
    return configuration
