"""The app is restarted while clients are connected and others come: our way, and the guides'.

python -m bench.deploys.redeploy [--quick]
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.clients import Crowd, sources
from bench.clients.numbers import Report
from bench.deploys import newcomers
from bench.traffic import contenders
from bench.traffic import host as hosts
from bench.traffic.collect import Samples, turns
from bench.traffic.contenders import Contender
from bench.traffic.host import Host

CLIENTS = 200
"""Connected clients: the nginx guide's configuration takes 254."""
ROUNDS = 5
QUICK_ROUNDS = 1
DRAIN = 5
SECONDS = DRAIN + 5
"""How long others come."""


def main(quick: bool) -> None:
    """Measure both proxies, and write what was found."""
    for proxy in hosts.SUITES:
        host = hosts.deploy(proxy, DRAIN)
        found = contenders.prepare(host)
        ways: dict[str, tuple[Contender, Callable[[], object]]] = {
            "ours": (
                found["ours, TLS"],
                functools.partial(hosts.pyinfra, host.proxy, "wsdeploy.restart", DRAIN),
            ),
            "guide": (
                found["guide, TLS"],
                functools.partial(host.shell, "systemctl restart guide-app.service"),
            ),
        }
        samples = Samples("deploys")
        samples.notes |= newcomers.notes(CLIENTS, DRAIN)
        for number in range(QUICK_ROUNDS if quick else ROUNDS):
            for name in turns(list(ways), number):
                for what, value in _restarted(host, *ways[name]).items():
                    samples.add(f"{name}, {what}", _unit(what), value)
        samples.write("redeploy", host, quick)


def _unit(name: str) -> str:
    if name.endswith("failed"):
        return "tries"
    return "s" if name.endswith(("p99", "back")) else "clients"


def _restarted(host: Host, contender: Contender, restart: Callable[[], object]) -> dict[str, float]:
    """Restart the app, and return what clients have seen of it."""
    own = sources.on_bridge(1)
    with Crowd(contender.target, own) as crowd:
        quiet = crowd.handshakes(newcomers.AT_ONCE, 3)
        crowd.open(CLIENTS)

        def happening() -> Report:
            with ThreadPoolExecutor(1) as pool:
                coming = pool.submit(crowd.reconnect, SECONDS + 20, cut=False)
                restart()
                return coming.result()

        report, coming = newcomers.during(contender.target, own, SECONDS, happening)
    return {
        "quiet p99": quiet.handshake_p99,
        "newcomers": coming.handshakes,
        "newcomers failed": newcomers.failures(coming),
        "newcomers' p99": coming.handshake_p99,
        "all back": SECONDS + 20 if report.back_99 is None else report.back_99,
        "lost connections": sum(report.lost.values()),
        "closed with 1012": report.lost.get("1012", 0),
        "closed without a close frame": report.lost.get("1006", 0),
        "tries that failed": newcomers.failures(report),
    }


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
