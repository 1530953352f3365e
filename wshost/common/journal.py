"""Words to systemd: lines of the journal, and signs of life."""

from __future__ import annotations

import contextlib
import os
import socket

NOTICE, WARNING = 5, 4
"""What systemd takes as the priority of a line."""


def say(priority: int, message: str) -> None:
    """Write a line to the journal."""
    print(f"<{priority}>{message}", flush=True)


def notify(message: str) -> None:
    """Tell systemd, if it wants to know, that this program is there or still alive."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to, contextlib.suppress(OSError):
            to.sendto(message.encode(), f"\0{path[1:]}" if path[0] == "@" else path)
