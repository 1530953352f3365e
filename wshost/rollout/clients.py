"""How many clients processes have: of their connections, those that are WebSockets.

The watchdog's last question may still be open, and a proxy asks for health and keeps connections
for its next request. An app with wsapp knows its WebSockets; of others it is only told which
connections are the watchdog's.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from wshost.common import sockets
from wshost.common.listen import Listen
from wshost.rollout.generations import Generation

PATIENCE = 0.15
"""Seconds that all processes have for their answers."""
LONGEST = 1_000_000
"""Bytes of an answer that are read."""
NUMBER = re.compile(rb"^wsapp_connections (\d{1,9})\n", re.MULTILINE)
INFO = re.compile(rb'^wsapp_info\{process="([^"]*)",group="([^"]*)"', re.MULTILINE)
CGROUPS = Path("/sys/fs/cgroup/system.slice")
"""Where systemd notes which processes its services have."""


class Count(NamedTuple):
    """Of one process, with those that it has started."""

    connections: int
    clients: int


def counted(old: Generation, closed: Iterable[int] = ()) -> dict[int, Count]:
    """Return what each process of a generation has, by its PID. Takes little more than PATIENCE.

    closed: TCP ports that they may have listened on before.
    """
    running = {p["pid"]: p["name"] for p in old.processes() if p.get("pid")}
    held = sockets.connections(sockets.families({*running}), closed)
    told = _told(old, [running[pid] for pid, inodes in held.items() if inodes])
    unasked = {pid for pid, inodes in held.items() if inodes and running[pid] not in told}
    others: set[str] = set()
    if unasked:
        asked = {inode for pid in unasked for inode in held[pid]}
        others = sockets.reached_by(watchdog(old.name), asked)
    return {
        pid: Count(
            len(inodes),
            len(inodes - others) if pid in unasked else min(told.get(running[pid], 0), len(inodes)),
        )
        for pid, inodes in held.items()
    }


def _told(old: Generation, names: list[str]) -> dict[str, int]:
    """Return how many WebSockets processes say that they have, as far as they say so in time."""
    described = old.described()
    if described is None or not names:
        return {}
    listen, watch = Listen.read(described["listen"]), described["watch"]
    request = (
        f"GET /metrics HTTP/1.1\r\nHost: {watch['host'] if watch else 'localhost'}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    deadline = time.monotonic() + PATIENCE
    found: dict[str, int] = {}

    def ask(name: str) -> None:
        # Where several share a port, the kernel chooses who answers.
        while name not in found and time.monotonic() < deadline:
            answer = _answer(listen, name, request, deadline)
            number, info = NUMBER.search(answer), INFO.search(answer)
            if number is None or info is None:
                return
            if info[2].decode(errors="replace") == old.group:
                found[info[1].decode(errors="replace")] = int(number[1])
            elif listen.unix:
                return

    # A host may have no room for threads.
    with contextlib.suppress(RuntimeError), ThreadPoolExecutor(max_workers=len(names)) as pool:
        # What comes out of it, `found` has.
        [*pool.map(ask, names)]
    return found


def _answer(listen: Listen, name: str, request: bytes, deadline: float) -> bytes:
    """Return what a process answers until the deadline; nothing if it can't be asked."""
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.socket(_family(listen), socket.SOCK_STREAM) as connection,
    ):
        _wait(connection, deadline)
        connection.connect(listen.socket(name) if listen.unix else listen.address(name))
        connection.sendall(request)
        while len(answer) < LONGEST and time.monotonic() < deadline:
            _wait(connection, deadline)
            read = connection.recv(65_536)
            if not read:
                break
            answer += read
    return answer


def _family(listen: Listen) -> int:
    if listen.unix:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in listen.place else socket.AF_INET


def _wait(connection: socket.socket, deadline: float) -> None:
    connection.settimeout(max(0.001, deadline - time.monotonic()))


def watchdog(name: str) -> set[int]:
    """Return the processes of a service's watchdog."""
    with contextlib.suppress(OSError):
        return {*map(int, (CGROUPS / f"{name}-watchdog.service/cgroup.procs").read_text().split())}
    return set()
