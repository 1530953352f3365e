"""The same question that a certificate authority asks, asked by ourselves first.

Authorities count failures: after five an hour, Let's Encrypt stops answering. Whether a name leads
to proxies of this fleet, and their port 80 answers, can be seen without them.
"""

from __future__ import annotations

import errno
import http.client
import secrets
import socket

PATH = "/.well-known/acme-challenge/"
TIMEOUT = 5
"""Seconds for an answer."""

# This host has no way to such addresses; the authority may have one.
NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class ChallengeError(Exception):
    """The authority would not get its answer; the message says why."""


def check(name: str, thumbprint: str, port: int = 80) -> None:
    """Ask every address that a name has for the answer to a challenge. Raises ChallengeError."""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError as error:
        reason = error.strerror or error
        raise ChallengeError(f"{name} has no address ({reason}): fix its DNS records") from None
    token = secrets.token_urlsafe(16)
    reached = 0
    for address in dict.fromkeys(str(entry[4][0]) for entry in found):
        try:
            answer = _get(address, port, name, token)
        except OSError as error:
            if error.errno in NO_WAY:
                continue
            answer = error.strerror or str(error)
        except http.client.HTTPException as error:
            answer = f"{type(error).__name__}: {error}"
        if answer != f"{token}.{thumbprint}":
            raise ChallengeError(
                f"{name} leads to {address}, where port {port} does not answer as a proxy of this "
                f"fleet: {answer[:100]!r}"
            )
        reached += 1
    if not reached:
        raise ChallengeError(f"{name} leads nowhere that this host can reach")


def _get(address: str, port: int, name: str, token: str) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
    try:
        connection.request("GET", PATH + token, headers={"Host": name, "Connection": "close"})
        response = connection.getresponse()
        body = response.read(1000).decode(errors="replace").strip()
    finally:
        connection.close()
    return body if response.status == 200 else f"{response.status} {response.reason}"
