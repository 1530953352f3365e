"""All clients are dropped at the same moment, and all come back; or they are closed at a pace.

python -m bench.deploys.storm [--quick]
"""

from __future__ import annotations

import functools
import sys
from concurrent.futures import ThreadPoolExecutor

from bench.clients import Crowd, Target, sources
from bench.clients.numbers import Report
from bench.deploys import newcomers
from bench.traffic import host as hosts
from bench.traffic.collect import Samples
from bench.traffic.host import Host

CLIENTS = 5000
QUICK_CLIENTS = 1000
ROUNDS = 5
QUICK_ROUNDS = 1
DRAIN = 10
"""Seconds over which a restart closes connections here. A user's is 30 by default."""
STORM = 5
"""Seconds for which others come when all are dropped at once."""
LIMIT = 90
"""Seconds after which a round ends, whoever is back."""


def main(quick: bool) -> None:
    """Measure both proxies, and write what was found."""
    clients, rounds = (QUICK_CLIENTS, QUICK_ROUNDS) if quick else (CLIENTS, ROUNDS)
    for proxy in hosts.SUITES:
        host = hosts.deploy(proxy, DRAIN)
        samples = Samples("deploys")
        samples.notes |= newcomers.notes(clients, DRAIN)
        for _ in range(rounds):
            for name, value in _round(host, clients).items():
                samples.add(name, _unit(name), value)
        samples.write("storm", host, quick)


def _unit(name: str) -> str:
    if name == "handshakes/s":
        return name
    if name.endswith("failed"):
        return "tries"
    return "clients" if name.endswith(("given up", "away")) else "s"


def _round(host: Host, clients: int) -> dict[str, float]:
    """Return what one round of everything has shown."""
    target = Target(f"wss://{host.domain}/", ((host.address, 443),))
    own = sources.on_bridge(1)
    found: dict[str, float] = {}
    with Crowd(target, own) as crowd:
        quiet = crowd.handshakes(newcomers.AT_ONCE, 3)
        found["quiet, newcomers' p99"] = quiet.handshake_p99
        rate = crowd.handshakes(256, 5).handshakes_per_second
        found["handshakes/s"] = rate
        found["ideal"] = 0.99 * clients / rate
        crowd.open(clients)
        for name, seconds, happening in (
            ("at once", STORM, functools.partial(crowd.reconnect, LIMIT, cut=True)),
            ("paced", DRAIN + 5, functools.partial(_restart, host, crowd)),
        ):
            report, coming = newcomers.during(target, own, seconds, happening)
            found |= _seen(name, report)
            found[f"{name}, newcomers' p99"] = coming.handshake_p99
            found[f"{name}, newcomers failed"] = newcomers.failures(coming)
    return found


def _restart(host: Host, crowd: Crowd) -> Report:
    """Restart the app the careful way while clients come back whom it closes."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(crowd.reconnect, LIMIT, cut=False)
        hosts.pyinfra(host.proxy, "wsdeploy.restart", drain=DRAIN)
        return coming.result()


def _seen(name: str, report: Report) -> dict[str, float]:
    return {
        # Nobody's are infinite, which no result file can have.
        f"{name}, 99 % back": LIMIT if report.back_99 is None else report.back_99,
        f"{name}, p99": report.handshake_p99,
        f"{name}, failed": newcomers.failures(report),
        f"{name}, given up": report.given_up,
        f"{name}, away": report.away,
    }


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
