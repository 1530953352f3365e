"""Handshakes per second: connect, TLS, WebSocket, and leave; with and without TLS resumption.

The clients' side of a TLS handshake costs as much as the server's, so a rate on shared processors
says little; processor time of proxy and app for each handshake says what a core can do.
"""

from __future__ import annotations

from bench.clients import Crowd, sources
from bench.traffic import part
from bench.traffic.collect import Samples, turns
from bench.traffic.contenders import prepare
from bench.traffic.host import SUITES, deploy

AT_ONCE = 32
"""Handshakes under way at a time: enough to keep both processors busy, too few to queue."""

WARM_UP = 0.5
SOURCES = 4
"""Own addresses. Clients leave with a reset, so that no port waits for a minute (TIME_WAIT); those
who resume say goodbye, as OpenSSL forgets their session otherwise."""


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure with each proxy, and write the results."""
    rounds, seconds = (1, 1.0) if quick else (3, 1.5)
    for proxy in proxies:
        host = deploy(proxy)
        contenders = prepare(host)
        cases = [(name, False) for name in contenders] + [
            (name, True) for name in contenders if contenders[name].target.tls
        ]
        by_title = {
            f"{name}, resumed" if resume else name: (name, resume) for name, resume in cases
        }
        samples = Samples()
        for number in range(rounds):
            for title in turns(list(by_title), number):
                name, resume = by_title[title]
                contender = contenders[name]
                with Crowd(contender.target, sources.on_bridge(SOURCES)) as crowd:
                    before = contender.processor(host)
                    seen = crowd.handshakes(AT_ONCE, seconds, resume=resume, warm_up=WARM_UP)
                    after = contender.processor(host)
                samples.add(title, "handshakes/s", seen.handshakes_per_second)
                samples.add(f"{title}: p99", "ms", seen.handshake_p99 * 1000)
                done = seen.handshakes * (seconds + WARM_UP) / seconds
                took = (after[0] - before[0], after[1] - before[1], seen.processor)
                for where, time in zip(("proxy", "app", "clients"), took, strict=True):
                    if time:
                        samples.add(f"{title}: {where}", "µs of processor", time / done * 1e6)
                if resume and seen.resumed < 0.9 * seen.handshakes:
                    samples.notes[f"{title}: resumed"] = seen.resumed / max(1, seen.handshakes)
        samples.write("handshakes", host, quick)


if __name__ == "__main__":
    part.run(main)
