"""Messages per second and their latency, from few clients to many, with short and long messages."""

from __future__ import annotations

from bench.traffic import part
from bench.traffic.collect import Samples, turns
from bench.traffic.contenders import prepare
from bench.traffic.host import SUITES, deploy
from bench.traffic.messages import connected, record, turn

SIZES = (64, 4096)
CLIENTS = (100, 1000, 5000)
HOLDS = {"nginx": 254, "haproxy": 4064}
"""Clients that the guides' setups hold (measured by bench.traffic.held)."""


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure with each proxy, and write the results."""
    for proxy in proxies:
        host = deploy(proxy)
        contenders = prepare(host)
        samples = Samples()
        for clients in (1000,) if quick else CLIENTS:
            chosen = [
                name
                for name in contenders
                if name != "one process"
                and (clients <= HOLDS[proxy] or not name.startswith("guide"))
            ]
            for number in range(1 if quick else 2):
                for name in turns(chosen, number):
                    contender = contenders[name]
                    with connected(name, contender, clients) as crowd:
                        for size in SIZES:
                            taken = turn(host, contender, crowd, size, 1.0)
                            record(samples, f"{name}, {clients} clients, {size} B", [taken])
        samples.write("levels", host, quick)


if __name__ == "__main__":
    part.run(main)
