"""The way to one certain process, also where several listen on the same TCP port.

There the kernel chooses by a hash of addresses and ports. For as long as the same sockets listen,
it chooses the same one for the same client port. So a few connections are made from ports that are
picked at random (scouts); who has accepted which of them shows which port leads to whom.

Scouts are silent until they are accepted. One that never is lies in the queue of a process that
does not accept; then those count as asked that have something in their queue and to whom no way is
known.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from wshost.common import sockets
from wshost.watchdog.health_request import Question

WAYS = 2
"""Client ports to know for each process: a second question goes while the first one waits."""
SCOUTS_MOST = 256
SOURCES, LOWEST_SOURCE = 8192, 16_384
"""How many client ports to pick from, and the lowest if the kernel's own range leaves no room."""


@dataclass
class _Port:
    """What is known of one port."""

    listeners: dict[str, sockets.Listener] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    ways: dict[int, set[int]] = field(default_factory=dict)
    """Client ports that lead to a process."""
    scouts: list[Question] = field(default_factory=list)
    sent: float = float("-inf")
    """When the scouts were sent."""


Way = Literal["direct", "absent", "unknown", "hidden"] | int
"""How to ask a process: whoever answers is it; it listens nowhere; there is no way yet; there can
be none, as sockets of unknown owners share the port; or from this client port."""


class Routes:
    """Ways to the processes of a service that listen on TCP."""

    def __init__(self, address: str, patience: float) -> None:
        """Know nothing yet. patience: seconds after which scouts that nobody accepts are spent."""
        self._address = str(ip_address(address))
        self._patience = patience
        self._ports: dict[int, _Port] = {}

    @property
    def address(self) -> str:
        """The address to connect to, and from."""
        return self._address

    def look(self, ports: set[int], leaders: set[int]) -> set[int]:
        """Look who listens now. leaders: all processes that may, of whichever generation.

        Returns the ports on which others listen than before: what was asked there may have gone to
        anybody.
        """
        changed = set()
        for gone in self._ports.keys() - ports:
            self._drop_scouts(self._ports.pop(gone))
        found = sockets.listeners(ports)
        for number in ports:
            here = self._facing([each for each in found if each.port == number])
            port = self._ports.setdefault(number, _Port())
            if here.keys() != port.listeners.keys():
                # Another set of sockets: the kernel may choose differently for each client port.
                self._drop_scouts(port)
                port.ways.clear()
                port.sent = float("-inf")
                port.owners = sockets.owners(here, leaders)
                changed.add(number)
            elif here.keys() != port.owners.keys():
                # Somebody is new, or was about to pass a socket on to a process that it starts.
                port.owners = sockets.owners(here, leaders)
            port.listeners = here
        return changed

    def _facing(self, found: list[sockets.Listener]) -> dict[str, sockets.Listener]:
        """Return those that get what is sent to the address.

        A wildcard gets it only if nothing is bound to the address itself.
        """
        wildcards = ("::",) if ":" in self._address else ("0.0.0.0", "::")  # noqa: S104
        for address in (self._address, *wildcards):
            here = {each.inode: each for each in found if each.address == address}
            if here:
                return here
        return {}

    def way(self, pid: int, number: int, busy: set[int]) -> Way:
        """Return the way to a process that should listen on a port. busy: client ports in use."""
        port = self._ports[number]
        if pid not in port.owners.values():
            # Nobody knows whose a socket is that none of the processes has.
            if port.listeners.keys() == port.owners.keys():
                return "absent"
            return "direct" if len(port.listeners) == 1 else "hidden"
        if len(port.listeners) == 1:
            return "direct"
        free = port.ways.get(pid, set()) - busy
        if len(port.ways.get(pid, ())) < WAYS or not free:
            return "unknown"
        return min(free)

    def forget(self, pid: int, number: int, source: int) -> None:
        """Forget a client port that can't be used any more."""
        self._ports[number].ways.get(pid, set()).discard(source)

    def waiting(self, pid: int, number: int) -> bool:
        """Tell whether connections lie in a process's queue, and some of ours in somebody's."""
        port = self._ports[number]
        own = [port.listeners[inode].queue for inode, owner in port.owners.items() if owner == pid]
        return bool(port.scouts) and any(own)

    def scout(self, number: int, leaders: set[int], text: bytes, now: float) -> list[Question]:
        """See what has become of the scouts of a port, and send others if they are spent.

        Returns those that somebody has accepted by now, for the caller to let them ask, to wait for
        the answer and to close, so that no app is left with a client who says nothing.
        """
        port = self._ports[number]
        ends = sockets.accepted(each.socket for each in port.scouts)
        owners = sockets.owners(ends.values(), leaders)
        done = [each for each in port.scouts if each.socket in ends]
        for scout in done:
            owner = owners.get(ends[scout.socket])
            if owner is not None and scout.source is not None:
                port.ways.setdefault(owner, set()).add(scout.source)
            scout.held = False
        port.scouts = [each for each in port.scouts if each.held]
        if now >= port.sent + self._patience:
            self._drop_scouts(port)
        if not port.scouts and now >= port.sent + self._patience / 2:
            count = min(2 * WAYS * len(port.listeners) + 4, SCOUTS_MOST)
            port.scouts = [self._scout(number, text) for _ in range(count)]
            port.sent = now
        return done

    def _scout(self, number: int, text: bytes) -> Question:
        """Connect from a random port, out of those that the kernel gives to nobody by itself."""
        low = _first_ephemeral_port()
        low = max(low, LOWEST_SOURCE + SOURCES)
        source = random.randrange(low - SOURCES, low)  # noqa: S311
        # If another program has that port, this scout is lost; there are many.
        return Question((self._address, number), text, source, held=True)

    def _drop_scouts(self, port: _Port) -> None:
        for scout in port.scouts:
            scout.close()
        port.scouts = []

    def close(self) -> None:
        """Give all scouts up."""
        for port in self._ports.values():
            self._drop_scouts(port)
        self._ports.clear()


def _first_ephemeral_port() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
