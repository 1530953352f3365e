"""The clients of generations that go: how many are left, told while they are closed in turn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from wshost.common import progress, sockets
from wshost.common.listen import Listen
from wshost.rollout import clients
from wshost.rollout.clients import Count
from wshost.rollout.generations import Generation

if TYPE_CHECKING:
    from wshost.requests import Progress


@contextlib.contextmanager
def told(old: Sequence[Generation], at_most: float) -> Iterator[None]:
    """Tell how the clients of generations get fewer while the body ends their processes.

    at_most: seconds that the body may take.
    """
    start = time.monotonic()
    leaders = {p["pid"] for each in old for p in each.processes() if p.get("pid")}
    ports = {port for each in old for port in _ports(each)}
    counts = _counted(old, ports)
    most = sum(each.clients for each in counts)
    # What is no client is taken to stay until the process goes.
    others = sum(each.connections - each.clients for each in counts)
    before = most

    def news(left: int) -> Progress:
        seconds = round(time.monotonic() - start, 1)
        return {"drain": {"left": left, "of": most, "seconds": seconds, "at_most": at_most}}

    def look() -> Progress:
        nonlocal most, before
        left = max(0, _connections(leaders, ports) - others)
        # Where generations share a port, the old one gets some more until it stops. What is there
        # for one look only was a proxy that asked for health.
        most, before = max(most, min(before, left)), left
        return news(min(left, most))

    progress.tell(news(most))
    with progress.ticking(look):
        yield
    progress.tell(news(0))


def _ports(old: Generation) -> set[int]:
    """Return the TCP ports that a generation listens on: what drains does not any more."""
    found = old.described()
    if found is None:
        return set()
    return {port for _, port in Listen.read(found["listen"]).ports(found["processes"])}


def _counted(old: Sequence[Generation], ports: set[int]) -> list[Count]:
    """Return what each process has; nothing that goes wrong here is worth a drain."""
    if not progress.is_wanted():
        return []
    with contextlib.suppress(OSError, ValueError, KeyError, RuntimeError):
        return [count for each in old for count in clients.counted(each, ports).values()]
    return []


def _connections(leaders: set[int], ports: Iterable[int]) -> int:
    """Return how many connections processes hold, with those that they have started."""
    members = {pid for family in sockets.families(leaders).values() for pid in family}
    return sockets.held(members, closed=ports)
