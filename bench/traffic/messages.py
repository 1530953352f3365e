"""Messages per second and their latency: each client sends one when the last one's echo is there.

Client, proxy and app share the machine's processors, so that less work in any of them is more
messages. Processor time is that of a message and its echo.

What is compared is connected at the same time and takes turns of a second: what slows the machine
down for longer than that slows down all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from bench.clients import Crowd, sources
from bench.traffic import part
from bench.traffic.collect import Samples, turns
from bench.traffic.contenders import Contender, prepare
from bench.traffic.host import SUITES, Host, deploy

WARM_UP = 0.4
OTHERS = 0.1
"""Share of a processor that others may take on this machine. If it was more, a turn is taken
again, up to TRIES times; how much it was is in the result."""

TRIES = 3
CLIENTS, SIZE = 200, 64
"""Clients and bytes that the goals are about."""

COMPRESSED = "{}, compressed"
TOGETHER = (
    ("ours, TLS", "guide, TLS", "ours, plain", "processes"),
    ("guide, plain", "one process"),
    (COMPRESSED.format("ours, TLS"), COMPRESSED.format("guide, TLS")),
)
"""What takes turns with each other. The nginx guide's setup has room for one crowd at a time."""


@dataclass(frozen=True)
class Turn:
    """What was seen of a contender in one turn; times of processors are in seconds."""

    messages: int
    seconds: float
    p50: float
    p99: float
    proxy: float
    app: float
    clients: float
    others: float
    """Share of a processor that others took."""


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure with each proxy, and write the results."""
    rounds, each, seconds = (1, 2, 0.6) if quick else (5, 6, 1.0)
    for proxy in proxies:
        host = deploy(proxy)
        contenders = prepare(host)
        contenders |= {
            COMPRESSED.format(name): replace(it, target=replace(it.target, offer=True))
            for name, it in contenders.items()
        }
        samples = Samples()
        for _ in range(rounds):
            for names in TOGETHER:
                chosen = {name: contenders[name] for name in names}
                for name, taken in _in_turns(host, chosen, each, seconds).items():
                    record(samples, f"{name}, {CLIENTS} clients, {SIZE} B", taken)
        samples.write("messages", host, quick)


def _in_turns(
    host: Host, contenders: dict[str, Contender], each: int, seconds: float
) -> dict[str, list[Turn]]:
    """Let each contender have so many turns, another one first each time."""
    found: dict[str, list[Turn]] = {name: [] for name in contenders}
    with ExitStack() as stack:
        crowds = {
            name: stack.enter_context(connected(name, contender, CLIENTS))
            for name, contender in contenders.items()
        }
        for number in range(each):
            for name in turns(list(contenders), number):
                found[name].append(turn(host, contenders[name], crowds[name], SIZE, seconds))
    return found


@contextmanager
def connected(name: str, contender: Contender, clients: int) -> Iterator[Crowd]:
    """Connect clients to a contender. Raises RuntimeError if some are refused."""
    with Crowd(contender.target, sources.on_bridge(sources.needed(clients))) as crowd:
        opened = crowd.open(clients)
        if opened.held < clients:
            raise RuntimeError(f"{name} holds {opened.held} of {clients}: {opened.refused}")
        yield crowd


def turn(host: Host, contender: Contender, crowd: Crowd, size: int, seconds: float) -> Turn:
    """Let connected clients send messages, once more if others took too much of the machine."""
    for _ in range(TRIES):
        before, others, began = contender.processor(host), host.others(), time.monotonic()
        echoed = crowd.echo(size, seconds, WARM_UP)
        after = contender.processor(host)
        taken = host.others() - others - echoed.processor
        share = taken / (time.monotonic() - began)
        if share < OTHERS:
            break
    # Processor time is counted from the first message on.
    counted = seconds / (seconds + WARM_UP)
    return Turn(
        messages=echoed.messages,
        seconds=echoed.seconds,
        p50=echoed.p50,
        p99=echoed.p99,
        proxy=(after[0] - before[0]) * counted,
        app=(after[1] - before[1]) * counted,
        clients=echoed.processor * counted,
        others=share,
    )


def record(samples: Samples, title: str, taken: Sequence[Turn]) -> None:
    """Make one sample of each measure from the turns of a round; latencies are their medians."""
    messages = sum(it.messages for it in taken)
    samples.add(title, "messages/s", messages / sum(it.seconds for it in taken))
    others = statistics.fmean(it.others for it in taken)
    samples.add(f"{title}: others", "s/s", others)
    samples.add(f"{title}: p50", "ms", statistics.median(it.p50 for it in taken) * 1000)
    samples.add(f"{title}: p99", "ms", statistics.median(it.p99 for it in taken) * 1000)
    for where in ("proxy", "app", "clients"):
        if took := sum(getattr(it, where) for it in taken):
            samples.add(f"{title}: {where}", "µs of processor", took / messages * 1e6)


if __name__ == "__main__":
    part.run(main)
