"""Which process is at the other end of a TCP connection on this host, and which ones listen.

While two processes share a port, the kernel decides which of them a connection reaches. The gate
has to know which it was talking to, and the watchdog finds its way to a certain one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from wshost.common import proc

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
LISTEN = "0A"
"""The kernel's number for a socket that listens."""
ESTABLISHED = "01"
CONNECTED = "03"
"""The same for connections, of TCP and of unix sockets."""
ACCEPTS = 0x10000
"""The kernel's flag of unix sockets that listen: __SO_ACCEPTCON."""
NOBODY = "0"
"""The inode of a connection that no process has accepted yet."""


@dataclass(frozen=True)
class Listener:
    """A listening socket, by its inode."""

    inode: str
    address: str
    port: int
    queue: int
    """Connections that nobody has accepted yet."""


def serving(connection: socket.socket) -> set[int]:
    """Return the processes that have the other end of `connection` open, with their ancestors.

    The app must have accepted the connection already, so ask after its first answer.
    """
    inode = _inode(connection.getpeername()[:2], connection.getsockname()[:2])
    owners = {pid for pid in _pids() if inode in _sockets(pid)} if inode else set()
    return owners | {ancestor for pid in owners for ancestor in proc.lineage(pid)}


def listeners(ports: Iterable[int]) -> list[Listener]:
    """Return all listening sockets with one of these ports, on whichever address."""
    wanted, found = set(ports), []
    for table in TABLES:
        for fields in _rows(table):
            # They come first; however many connections there are, they are not read.
            if fields[3] != LISTEN:
                break
            if int(fields[1][-4:], 16) in wanted:
                address, port = _address(fields[1])
                queue = int(fields[4].partition(":")[2], 16)
                found.append(Listener(fields[9], address, port, queue))
    return found


def accepted(connections: Iterable[socket.socket]) -> dict[socket.socket, str]:
    """Return the inode of each connection's other end, for those that a process has accepted."""
    ends = {}
    for connection in connections:
        with contextlib.suppress(OSError):
            ends[connection.getpeername()[:2], connection.getsockname()[:2]] = connection
    found: dict[socket.socket, str] = {}
    sources = {f"{remote[1]:04X}" for _, remote in ends}
    for table in TABLES if ends else ():
        for fields in _rows(table):
            if fields[2][-4:] in sources and fields[9] != NOBODY:
                pair = (_address(fields[1]), _address(fields[2]))
                if pair in ends:
                    found[ends[pair]] = fields[9]
    return found


def owners(inodes: Iterable[str], leaders: Iterable[int]) -> dict[str, int]:
    """Return which of these processes has each socket, itself or by a process that it started."""
    wanted, found = set(inodes), {}
    for leader, members in families(set(leaders)).items():
        for pid in members:
            for inode in wanted & _sockets(pid):
                found[inode] = leader
    return found


def families(leaders: set[int]) -> dict[int, set[int]]:
    """Return each leader with all processes that descend from it."""
    found = {leader: {leader} for leader in leaders}
    for pid in _pids():
        nearest = next((each for each in proc.lineage(pid) if each in leaders), None)
        if nearest is not None:
            found[nearest].add(pid)
    return found


def held(members: Iterable[int], port: int | None = None, closed: Iterable[int] = ()) -> int:
    """Return how many connections these processes have accepted and not closed.

    port: count only TCP connections to this port, of those that they listen on.
    closed: TCP ports that they may have listened on before.
    """
    own = {inode for pid in members for inode in _sockets(pid)}
    # Each once: a busy table that changes while it is read can list a socket twice.
    found: set[str] = set()
    for table in TABLES:
        ports = set(closed)
        for fields in _rows(table):
            if fields[9] not in own:
                continue
            # Listeners come first.
            local = int(fields[1][-4:], 16)
            if fields[3] == LISTEN:
                ports.add(local)
            elif fields[3] == ESTABLISHED and local in ports and port in (None, local):
                found.add(fields[9])
    if port is None:
        # What a unix socket has accepted has its path; who has connected to it has none.
        # A name with a line break in it makes rows of its own.
        rows = [row for row in _rows("/proc/net/unix") if len(row) > 7 and row[6] in own]
        # A process that drains has closed its listener.
        found |= {row[6] for row in rows if row[5] == CONNECTED}
    return len(found)


def _inode(local: tuple[str, int], remote: tuple[str, int]) -> str | None:
    """Return the inode of the socket between two addresses, as /proc/net/tcp lists it."""
    for table in TABLES:
        for fields in _rows(table):
            if (_address(fields[1]), _address(fields[2])) == (local, remote):
                return fields[9]
    return None


def _rows(table: str) -> Iterator[list[str]]:
    """Yield the fields of each row of a table of sockets; none if the kernel has no such table."""
    # Paths of sockets can be any bytes.
    with contextlib.suppress(OSError), open(table, errors="replace") as file:
        next(file, None)
        yield from map(str.split, file)


def _address(text: str) -> tuple[str, int]:
    """Read an address of /proc/net/tcp: 32-bit words in this machine's byte order, and a port."""
    digits, _, port = text.partition(":")
    words = [int(digits[i : i + 8], 16) for i in range(0, len(digits), 8)]
    found = ip_address(struct.pack(f"={len(words)}I", *words))
    # A socket for both families lists its IPv4 clients as ::ffff:192.0.2.1.
    return str(getattr(found, "ipv4_mapped", None) or found), int(port, 16)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _sockets(pid: int) -> set[str]:
    """Return the inodes of a process's sockets; none if it is gone."""
    found = set()
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                target = os.readlink(f"{folder}/{name}")
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def listening(pid: int) -> list[str]:
    """Return where a process and its descendants listen: 127.0.0.1:8000, [::1]:8000, a path.

    For whoever looks for the mistake when it is not where it should.
    """
    inodes = {inode for member in families({pid})[pid] for inode in _sockets(member)}
    found = {
        shown(*_address(fields[1]))
        for table in TABLES
        for fields in _rows(table)
        if fields[3] == LISTEN and fields[9] in inodes
    }
    found |= {
        fields[7]
        for fields in _rows("/proc/net/unix")
        # Only those that were bound have a path.
        if len(fields) > 7 and fields[6] in inodes and int(fields[3], 16) & ACCEPTS
    }
    return sorted(found)


def shown(host: str, port: int) -> str:
    """Return an address and port as people write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
