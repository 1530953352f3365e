"""Which process is at the other end of a TCP connection on this host, and which ones listen.

While two processes share a port, the kernel decides which of them a connection reaches. The gate
has to know which it was talking to, and the watchdog finds its way to a certain one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
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
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, REQUEST_DUMP = 4, 20, 0x301
SHOW_PEER, UNIX_DIAG_PEER, ANY_STATE = 0x4, 2, 0xFFFFFFFF
UNIX_MESSAGE = 32
"""The kernel's numbers of sock_diag, and the size of its answer's head for a unix socket."""
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
    return len(_accepted(_inodes(members), closed, port))


def connections(
    families: Mapping[int, Iterable[int]], closed: Iterable[int] = ()
) -> dict[int, set[str]]:
    """Return the inodes of those connections, by the leaders of families.

    All at once: to read the kernel's tables takes long on a busy host.
    """
    own = {leader: _inodes(members) for leader, members in families.items()}
    found = _accepted(set().union(*own.values()), closed)
    return {leader: inodes & found for leader, inodes in own.items()}


def _inodes(members: Iterable[int]) -> set[str]:
    return {inode for pid in members for inode in _sockets(pid)}


def _accepted(own: set[str], closed: Iterable[int], port: int | None = None) -> set[str]:
    """Return which of these sockets are connections that were accepted."""
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
    return found


def reached_by(pids: Iterable[int], accepted: Iterable[str]) -> set[str]:
    """Return the inodes of those accepted connections whose other end these processes have."""
    wanted, theirs = set(accepted), _inodes(pids)
    if not wanted or not theirs:
        return set()
    found = {inode for inode, peer in _unix_peers() if inode in wanted and peer in theirs}
    for table in TABLES:
        ends = {}
        for fields in _rows(table):
            if fields[9] in wanted or fields[9] in theirs:
                ends[fields[1], fields[2]] = fields[9]
        for (local, remote), inode in ends.items():
            if inode in wanted and ends.get((remote, local)) in theirs:
                found.add(inode)
    return found


def _unix_peers() -> Iterator[tuple[str, str]]:
    """Yield the inodes of unix sockets and of those at their other ends (man 7 sock_diag).

    None if the kernel does not tell: /proc/net/unix has no peers.
    """
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, ANY_STATE, 0, SHOW_PEER, 0, 0)
    header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, REQUEST_DUMP, 1, 0)
    with (
        contextlib.suppress(OSError, struct.error),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel,
    ):
        kernel.settimeout(0.05)
        kernel.sendall(header + request)
        while True:
            data, at = kernel.recv(65_536), 0
            while at < len(data):
                length, kind = struct.unpack_from("=IH", data, at)
                if kind != SOCK_DIAG_BY_FAMILY or length < UNIX_MESSAGE:
                    return
                inode = str(struct.unpack_from("=I", data, at + 20)[0])
                attribute = at + UNIX_MESSAGE
                while attribute + 8 <= at + length:
                    size, name = struct.unpack_from("=HH", data, attribute)
                    if name == UNIX_DIAG_PEER:
                        yield inode, str(struct.unpack_from("=I", data, attribute + 4)[0])
                    attribute += max(4, size + 3 & ~3)
                at += length + 3 & ~3


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
