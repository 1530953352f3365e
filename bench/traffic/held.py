"""Clients held at the same time, until the first one is refused."""

from __future__ import annotations

import resource
import time

from bench.clients import Crowd, sources
from bench.traffic import part
from bench.traffic.collect import Samples
from bench.traffic.contenders import prepare
from bench.traffic.host import SUITES, deploy

MOST = 20_000
"""Clients that try to get in, of the deployed service."""

GUIDE = 8_000
"""Of the others."""

ENOUGH_REFUSED = 40
"""Attempts that fail before the rest is spared."""


def allowed(proxy: str, files: int, processors: int) -> int:
    """Return how many clients the limit of open files would allow at best: each takes two.

    nginx has a process for each processor; HAProxy is one process. Pure.
    """
    return files // 2 * (processors if proxy == "nginx" else 1)


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure with each proxy, and write the results."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for proxy in proxies:
        host = deploy(proxy)
        contenders = prepare(host)
        samples = Samples()
        processors = int(host.shell("nproc"))
        samples.add("allowed", "clients", allowed(proxy, files, processors))
        samples.notes["open files of a process"] = files
        samples.notes["source addresses needed"] = sources.needed(MOST)
        for name in ("guide, plain", "ours, TLS") + (() if quick else ("one process",)):
            wanted = MOST if name.startswith("ours") else GUIDE
            with Crowd(contenders[name].target, sources.on_bridge(sources.needed(MOST))) as crowd:
                began = time.monotonic()
                seen = crowd.open(wanted, at_once=64, most_refused=ENOUGH_REFUSED)
                # All who are in must also be served.
                echoed = crowd.echo(64, 1.0)
            samples.add(name, "clients", seen.held)
            samples.add(f"{name}: echoes", "messages/s", echoed.messages_per_second)
            samples.notes[f"{name}: lost"] = sum(echoed.lost.values())
            samples.notes[f"{name}: wanted"] = wanted
            samples.notes[f"{name}: first refusal"] = seen.first_refusal or "none"
            if seen.held_at_first_refusal is not None:
                samples.add(
                    f"{name}: before the first refusal", "clients", seen.held_at_first_refusal
                )
            samples.notes[f"{name}: seconds"] = round(time.monotonic() - began, 1)
        samples.write("held", host, quick)


if __name__ == "__main__":
    part.run(main)
