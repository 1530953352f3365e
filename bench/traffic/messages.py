"""Messages per second and their latency: each client sends one when the last one's echo is there.

Client, proxy and app share the machine's processors, so that less work in any of them is more
messages. Processor time is that of a message and its echo.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from bench.clients import Crowd, sources
from bench.traffic import part
from bench.traffic.collect import Samples, turns
from bench.traffic.contenders import Contender, prepare
from bench.traffic.host import SUITES, Host, deploy

WARM_UP = 0.4
OTHERS = 0.1
"""Share of a processor that others may take on this machine. If it was more, a sample is taken
again, up to TRIES times; how much it was is in the result."""

TRIES = 3
GOAL = 200, 64
"""Clients and bytes that the goals are about."""


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure with each proxy, and write the results."""
    for proxy in proxies:
        host = deploy(proxy)
        contenders = prepare(host)
        samples = Samples()
        _goal(host, contenders, samples, rounds=1 if quick else 5, seconds=1.0 if quick else 1.3)
        samples.write("messages", host, quick)


def _goal(
    host: Host, contenders: dict[str, Contender], samples: Samples, rounds: int, seconds: float
) -> None:
    clients, size = GOAL
    everything = contenders | {
        f"{name}, compressed": replace(found, target=replace(found.target, offer=True))
        for name, found in contenders.items()
        if found.target.tls
    }
    for number in range(rounds):
        for name in turns(list(everything), number):
            measure(host, name, everything[name], samples, Case(clients, (size,), seconds))


@dataclass(frozen=True)
class Case:
    """What is measured of a contender."""

    clients: int
    sizes: tuple[int, ...]
    seconds: float


def measure(host: Host, name: str, contender: Contender, samples: Samples, case: Case) -> None:
    """Take samples of one contender."""
    with Crowd(contender.target, sources.on_bridge(sources.needed(case.clients))) as crowd:
        opened = crowd.open(case.clients)
        if opened.held < case.clients:
            raise RuntimeError(f"{name} holds {opened.held} of {case.clients}: {opened.refused}")
        for size in case.sizes:
            for _ in range(TRIES):
                before, others, began = contender.processor(host), host.others(), time.monotonic()
                echoed = crowd.echo(size, case.seconds, WARM_UP)
                after = contender.processor(host)
                taken = host.others() - others - echoed.processor
                share = taken / (time.monotonic() - began)
                if share < OTHERS:
                    break
            title = f"{name}, {case.clients} clients, {size} B"
            samples.add(title, "messages/s", echoed.messages_per_second)
            samples.add(f"{title}: others", "s/s", share)
            samples.add(f"{title}: p50", "ms", echoed.p50 * 1000)
            samples.add(f"{title}: p99", "ms", echoed.p99 * 1000)
            # Processor time is counted from the first message on.
            messages = echoed.messages * (case.seconds + WARM_UP) / case.seconds
            times = (after[0] - before[0], after[1] - before[1], echoed.processor)
            for where, took in zip(("proxy", "app", "clients"), times, strict=True):
                if took:
                    samples.add(f"{title}: {where}", "µs of processor", took / messages * 1e6)


if __name__ == "__main__":
    part.run(main)
