"""Which process is at the other end of a TCP connection on this host.

While two generations share a port, the kernel decides which of them a connection reaches. The gate
has to know which it was talking to.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

LISTEN = "0A"
"""TCP_LISTEN in the kernel's numbering."""
NOBODY = "0"
"""The inode of a connection that no process has accepted yet."""


def serving(connection: socket.socket) -> set[int]:
    """Return the processes that have the other end of `connection` open, with their ancestors.

    The app must have accepted the connection already, so ask after its first answer.
    """
    ends = connection.getpeername()[:2], connection.getsockname()[:2]
    for row in _rows():
        if (_address(row[1]), _address(row[2])) == ends:
            return _owners(row[9])
    return set()


def listeners(port: int) -> Iterator[tuple[str, set[int]]]:
    """Yield each address that somebody listens on at `port`, and who, with their ancestors."""
    for row in _rows():
        if row[3] == LISTEN and _address(row[1])[1] == port:
            yield _address(row[1])[0], _owners(row[9])


def _rows() -> Iterator[list[str]]:
    """Yield the fields of each line of /proc/net/tcp and its sibling (proc(5))."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as file:
            yield from (line.split() for line in file.readlines()[1:])


def _owners(inode: str) -> set[int]:
    """Return the processes that have a socket open, with their ancestors."""
    owners = {pid for pid in _pids() if inode in _sockets(pid)} if inode != NOBODY else set()
    return owners | {ancestor for pid in owners for ancestor in _ancestors(pid)}


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


def _ancestors(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        while pid > 1:
            with open(f"/proc/{pid}/stat") as file:
                # The name in brackets can hold anything; the parent is the second field after it.
                pid = int(file.read().rpartition(")")[2].split()[1])
            found.append(pid)
    return found


def listening(pid: int) -> list[str]:
    """Return where a process and its descendants listen: 127.0.0.1:8000, [::1]:8000, a path.

    For whoever looks for the mistake when it is not where it should.
    """
    family = {pid, *(other for other in _pids() if pid in _ancestors(other))}
    inodes = {inode for member in family for inode in _sockets(member)}
    found = {
        shown(*_address(fields[1]))
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for fields in _table(table)
        # The kernel's number for a socket that listens.
        if fields[3] == "0A" and fields[9] in inodes
    }
    found |= {
        fields[7]
        for fields in _table("/proc/net/unix")
        # A flag of sockets that listen: __SO_ACCEPTCON. Only those that were bound have a path.
        if int(fields[3], 16) & 0x10000 and fields[6] in inodes and len(fields) > 7
    }
    return sorted(found)


def shown(host: str, port: int) -> str:
    """Return an address and port as people write them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _table(path: str) -> list[list[str]]:
    """Return the fields of each row of a table of sockets; none if the kernel has no such table."""
    with contextlib.suppress(OSError), open(path) as file:
        return [line.split() for line in file.readlines()[1:]]
    return []
