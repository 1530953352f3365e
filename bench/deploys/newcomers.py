"""Clients who come while something happens to the service."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bench.clients import Crowd, Target
from bench.clients.numbers import Report

AT_ONCE = 2
"""Newcomers under way at a time: enough to feel each moment, too few to be the load themselves."""

PAUSE = 0.1
"""Seconds after which a newcomer who was refused tries again: refusals are cheap, and would
otherwise be the load."""


def during(
    target: Target, sources: tuple[str, ...], seconds: float, happening: Callable[[], Report]
) -> tuple[Report, Report]:
    """Let something happen, and new clients come meanwhile, one after the other, for some seconds.

    Returns what `happening` has returned, and what the new clients have seen.
    """
    found: list[Report] = []

    def come() -> None:
        with Crowd(target, sources, workers=1) as crowd:
            begun.set()
            found.append(crowd.handshakes(AT_ONCE, seconds, warm_up=0, pause=PAUSE))

    begun = threading.Event()
    coming = threading.Thread(target=come)
    coming.start()
    begun.wait()
    result = happening()
    coming.join()
    return result, found[0]


def failures(report: Report) -> int:
    """Return how many handshakes failed, whatever the reason."""
    return sum(report.refused.values())


def notes(clients: int, drain: int) -> dict[str, str | float | int]:
    """Return what is said with each result: who is connected, for how long old processes drain."""
    return {"clients": clients, "drain, in s": drain, "newcomers at a time": AT_ONCE}
