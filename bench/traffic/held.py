"""Clients held at the same time, until the first one is refused."""

from __future__ import annotations

import resource
import time

from bench.clients import Crowd, sources
from bench.traffic import part
from bench.traffic.collect import Samples
from bench.traffic.contenders import Contender, prepare
from bench.traffic.host import SUITES, deploy

CONNECTIONS = 20_000
"""Clients that the deployed service should hold: what open files allow nginx at best, and twice
what they allow HAProxy."""

MOST = CONNECTIONS + 500
"""Clients that try to get in there, if none is refused."""

GUIDE = 8_000
"""Of the others."""


def allowed(proxy: str, files: int, processors: int) -> int:
    """Return how many clients the limit of open files allows at best: each takes two.

    HAProxy is one process, nginx one for each processor by itself; ours gets more of them where
    they need more files, so that it is max_connections that counts. Pure.
    """
    return min(CONNECTIONS, files // 2 * (processors if proxy == "nginx" else 1))


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure with each proxy, and write the results."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for proxy in proxies:
        host = deploy(proxy, connections=CONNECTIONS)
        contenders = prepare(host)
        samples = Samples()
        processors = int(host.shell("nproc"))
        samples.notes["open files of a process"] = files
        samples.notes["source addresses needed"] = sources.needed(MOST)
        for _ in range(1 if quick else 5):
            samples.add("allowed", "clients", allowed(proxy, files, processors))
            for name in ("guide, plain", "ours, TLS"):
                _hold(name, contenders[name], samples)
        if not quick:
            _hold("one process", contenders["one process"], samples)
        samples.write("held", host, quick)


def _hold(name: str, contender: Contender, samples: Samples) -> None:
    wanted, at_once = (MOST, 64) if name.startswith("ours") else (GUIDE, 4)
    with Crowd(contender.target, sources.on_bridge(sources.needed(MOST))) as crowd:
        began = time.monotonic()
        # Those who were under way together may be refused; then nobody else tries.
        seen = crowd.open(wanted, at_once=at_once, most_refused=at_once)
        samples.add(f"{name}: until all were in or some refused", "s", time.monotonic() - began)
        # All who are in must also be served.
        echoed = crowd.echo(64, 1.0)
    samples.add(name, "clients", seen.held)
    samples.add(f"{name}: echoes", "messages/s", echoed.messages_per_second)
    samples.add(f"{name}: lost when all send", "clients", sum(echoed.lost.values()))
    samples.notes[f"{name}: wanted"] = wanted
    samples.notes[f"{name}: first refusal"] = seen.first_refusal or "none"
    if seen.held_at_first_refusal is not None:
        before = f"{name}: before the first refusal"
        samples.add(before, "clients", seen.held_at_first_refusal)


if __name__ == "__main__":
    part.run(main)
