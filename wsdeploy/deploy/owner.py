"""Whose a run of pyinfra is, and whether another one of this machine is still alive."""

from __future__ import annotations

import getpass
import os
import socket
from functools import cache
from pathlib import Path

from wshost.requests import Process

PROC = Path("/proc")


@cache
def name() -> str:
    """Return who started this run, as user@machine."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def process() -> Process:
    """Return what this process can be found by: its ID, when it started, and where that counts.

    Process IDs are those of one machine since its boot, and there of one container.
    """
    return {"pid": os.getpid(), "start": _start(os.getpid()), "where": _where()}


def is_gone(process: Process) -> bool:
    """Tell whether a process, as `process` described it, is known not to exist any more."""
    if process["where"] is None or process["where"] != _where():
        return False
    return _start(process["pid"]) != process["start"]


def _start(pid: int) -> str | None:
    """Return when a process started, in the kernel's own ticks, or None if there is no such one."""
    try:
        # The name, in parentheses, may have spaces in it.
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _where() -> str | None:
    """Return what tells machines, their boots and containers apart, or None where it is unknown."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(PROC / 'self/ns/pid')}"
    except OSError:
        return None
