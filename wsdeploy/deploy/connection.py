"""The connection to a host: one that is gone is noticed."""

from __future__ import annotations

import socket
from typing import Any

from pyinfra.api.host import Host

GONE = 60
"""Seconds without a sign of life from a host until its connection counts as lost.

A host that loses its power says nothing, and without this a run would wait for it until TCP gives
up: for a quarter of an hour if it was sent something, else for ever. OpenSSH has no such limit by
default either; 60 s are longer than the pause of a virtual machine that moves to another server.
"""
ASKED_EVERY = 10
"""Seconds between two signs of life that are asked for."""

FAMILIES = (socket.AF_INET, socket.AF_INET6)


def watch(host: Host) -> None:
    """Let the connection to a host end when the host is gone; only SSH has one."""
    transport = transport_of(host)
    # Through another host it is a channel of that one's connection.
    if getattr(getattr(transport, "sock", None), "family", None) not in FAMILIES:
        return
    options = {
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): ASKED_EVERY,
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): ASKED_EVERY,
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): GONE // ASKED_EVERY,
        # For what was sent and not acknowledged; in milliseconds.
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): GONE * 1000,
    }
    for (level, name), value in options.items():
        transport.sock.setsockopt(level, name, value)


def is_gone(host: Host) -> bool:
    """Tell whether the connection to a host is known to be no more."""
    transport = transport_of(host)
    return transport is not None and not transport.is_active()


def transport_of(host: Host) -> Any:
    """Return paramiko's transport to a host, or None if it is not reached by SSH."""
    client: Any = getattr(host.connector, "client", None)
    return client.get_transport() if hasattr(client, "get_transport") else None
