"""How many hosts of which size a number of clients needs, before there are any. Pure.

docs/operate/capacity.md has the formulas, and a table that is made here. What hosts that exist
hold, `wsdeploy.capacity` measures (model).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wsdeploy.plan.capacity.model import (
    APP_CLIENT,
    APP_PROCESS,
    BUSY,
    FREE,
    GIB,
    MIB,
    PROXY_CLIENT,
    TCP_SOCKET,
    UNIX_SOCKET,
)
from wsdeploy.plan.host.limits import PROCESSES_LEAST
from wsdeploy.settings.app import PROCESSES_MOST

APP_MESSAGE = 43e-6
"""Seconds of a processor that the app takes for a message and its echo. Measured with 1,000 and
1,500 clients that each sent one a second: 33 to 58 µs, the less the more is to do."""

PROXY_MESSAGE = {"Nginx": 31e-6, "HAProxy": 39e-6}
"""The same for a proxy, over TLS: nginx of Debian 12 took 23 to 33 µs, HAProxy of Debian 13 took
32 to 45."""

APP_HANDSHAKE, PROXY_HANDSHAKE = 0.9e-3, 0.6e-3
"""Seconds of a processor for a client that connects. docs/benchmarks.md has the proxy's part, and
653 handshakes a second on two cores, of which the clients take half."""

SYSTEM = 300 * MIB
"""Bytes of memory that Debian and a proxy without clients take: an estimate."""

OPEN_FILES = 1_048_576
"""The open files that Debian lets a process have. A proxy takes two for each client."""


@dataclass(frozen=True)
class Demand:
    """What hosts are wanted for."""

    clients: int
    messages: float = 0
    """Messages that each client sends in a second, and that are answered."""
    lost: int = 1
    """Hosts of each tier that may be down while the others hold all clients."""
    proxy: str = "Nginx"
    """The class of the proxy's settings."""
    compression: str = "low"
    ping_interval: float = 20

    @property
    def rate(self) -> float:
        """Messages and pings of a client in a second. A ping and its pong cost what two do."""
        return self.messages + 1 / self.ping_interval


@dataclass(frozen=True)
class Size:
    """A machine that can be had."""

    cores: int
    memory: float
    """GiB."""

    def __str__(self) -> str:
        return f"{self.cores} cores, {self.memory:g} GiB"


SIZES = (Size(2, 4), Size(4, 8), Size(8, 16), Size(16, 32))
"""What every provider has."""


@dataclass(frozen=True)
class Tier:
    """What a kind of host does, and so what a client costs there."""

    name: str
    """In the plural."""
    app: bool
    proxy: bool

    def seconds(self, app: float, proxy: float) -> float:
        """Return the processor time for something of which app and proxy have parts."""
        return self.app * app + self.proxy * proxy

    def bytes(self, demand: Demand) -> float:
        """Return the memory for a client. The app has its part twice while a deployment drains."""
        kept = APP_CLIENT[demand.compression] * 2 if self.app else 0
        if self.app and self.proxy:
            ends = TCP_SOCKET + 2 * UNIX_SOCKET
        else:
            ends = TCP_SOCKET * (1 + self.proxy)
        return kept + ends + (PROXY_CLIENT[demand.proxy] if self.proxy else 0)


ALONE = (Tier("hosts", app=True, proxy=True),)
TIERS = (Tier("proxies", app=False, proxy=True), Tier("app hosts", app=True, proxy=False))


@dataclass(frozen=True)
class Need:
    """How many hosts of a size a tier needs."""

    size: Size
    hosts: int
    holds: int
    """Clients of one host."""
    by: str
    """What gives out first there."""
    busy: float
    """Share of the processors that all hosts together keep busy."""
    back: float
    """Seconds of work that hosts which are left have with the clients of those that are lost."""


def need(demand: Demand, tier: Tier, size: Size) -> Need:
    """Return how many hosts of a size hold all clients although some are lost."""
    cost = demand.rate * tier.seconds(APP_MESSAGE, PROXY_MESSAGE[demand.proxy])
    processes = min(PROCESSES_MOST, max(PROCESSES_LEAST, size.cores)) if tier.app else 0
    memory = size.memory * GIB * (1 - FREE) - SYSTEM - 2 * processes * APP_PROCESS
    limits = [
        (size.cores * BUSY / cost, "cores"),
        (max(0, memory) / tier.bytes(demand), "memory"),
    ]
    if tier.proxy:
        limits.append((OPEN_FILES / 2 * (1 - FREE), "open files"))
    holds, by = min(limits)
    if holds < 1:
        raise ValueError(f"a host with {size} holds no client; give a larger one")
    left = max(1, math.ceil(demand.clients / math.floor(holds)))
    hosts = left + demand.lost
    free = left * size.cores - demand.clients * cost
    back = demand.clients * demand.lost / hosts
    return Need(
        size=size,
        hosts=hosts,
        holds=math.floor(holds),
        by=by,
        busy=demand.clients * cost / (hosts * size.cores),
        back=back * tier.seconds(APP_HANDSHAKE, PROXY_HANDSHAKE) / free,
    )


def lines(demand: Demand, tiers: Sequence[Tier], sizes: Sequence[Size]) -> Iterator[str]:
    """Yield what to say of a demand: a table for each tier."""
    proxy = {"Nginx": "nginx"}.get(demand.proxy, demand.proxy)
    yield (
        f"{demand.clients:,} clients, each {demand.messages:g} messages a second, "
        f"{demand.lost} lost; {proxy}, compression {demand.compression}"
    )
    for tier in tiers:
        yield ""
        heads = (tier.name, "of", "each holds", "by its", "cores busy", "back after a loss in")
        rows = [heads, *(_row(need(demand, tier, size)) for size in sizes)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield "  ".join(cells).rstrip()
    if len(tiers) == 1 and not demand.lost:
        yield ""
        yield "with no host to spare, a host that is lost takes its clients with it"


def _row(found: Need) -> tuple[str, ...]:
    return (
        f"{found.hosts:,}",
        str(found.size),
        f"{found.holds:,}",
        found.by,
        f"{found.busy:.0%}",
        f"{max(1, math.ceil(found.back))} s" if found.back else "-",
    )


TABLE = tuple(
    (clients, messages) for clients in (10_000, 50_000, 100_000, 500_000, 1_000_000)
    for messages in (0, 1, 5)
)  # fmt: skip


def table() -> str:
    """Return the table of docs/operate/capacity.md: hosts of each size, with one lost."""
    heads = ("Clients", "Messages a second of each", *map(str, SIZES))
    lines = [f"| {' | '.join(heads)} |", "|" + " ---: |" * len(heads)]
    for clients, messages in TABLE:
        found = [need(Demand(clients, messages), ALONE[0], size) for size in SIZES]
        hosts = [f"{it.hosts:,} ({it.by})" for it in found]
        lines.append(f"| {clients:,} | {messages} | {' | '.join(hosts)} |")
    return "\n".join(lines) + "\n"
