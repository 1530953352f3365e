"""Memory that an idle client takes: in the proxy, in the app, and in the kernel.

Each client has sent messages for a moment, as what a connection allocates at its first message it
mostly keeps. Programs: growth of their proportional set size (PSS). Kernel: growth of
its slab for sockets and open files, less what the clients' own sockets take, which are half of
those of a direct connection.

What no setting can change is measured apart (bench/traffic/alone): a connection of the OpenSSL that
is on the host, and a connection's Python objects of websockets.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from bench.clients import Crowd, Target, sources
from bench.traffic import part
from bench.traffic.collect import Samples
from bench.traffic.contenders import Contender, prepare, start_direct
from bench.traffic.host import SUITES, Host, deploy, kernel_memory

FIRST = 200
"""Clients before, so that what is allocated once is there already."""

ALONE = Path(__file__).with_name("alone")
"""Programs that run on the host, each of which prints a number of bytes."""

OPENSSL_CONF = "/run/openssl.cnf"
OPENSSL_GROUPS = """openssl_conf = all
[all]
ssl_conf = modules
[modules]
system_default = tls
[tls]
Groups = {}
"""
GROUPS = {"nginx": ("X25519",), "haproxy": ("X25519", "X25519MLKEM768")}
"""Key exchanges that OpenSSL has on the proxy's Debian release. The clients take the first."""

LEVELS = ("off", "low", "medium", "high")


@dataclass(frozen=True)
class Taken:
    """Bytes for each client."""

    proxy: float
    app: float
    slab: float
    """Of the client's own socket, too."""


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure with each proxy, and write the results."""
    clients, rounds = (1000, 1) if quick else (3000, 5)
    for proxy in proxies:
        host = deploy(proxy)
        contenders = prepare(host)
        samples = Samples()
        samples.notes["clients"] = clients
        for _ in range(rounds):
            start_direct(host)
            direct = _taken(host, contenders["processes"], clients, offer=False)
            for name, offer in (
                ("ours, TLS, compression off", False),
                ("ours, TLS, default compression", True),
                ("ours, plain, compression off", False),
            ):
                # A process keeps what clients have left: the next ones would be free.
                host.shell(f"systemctl restart {proxy} plain; supervisorctl restart all >/dev/null")
                taken = _taken(host, contenders[name.rpartition(", ")[0]], clients, offer=offer)
                parts = {
                    "proxy": taken.proxy,
                    "app": taken.app,
                    "kernel": taken.slab - direct.slab / 2,
                }
                for where, value in parts.items():
                    samples.add(f"{name}: {where}", "KB", value / 1024)
                samples.add(name, "KB", sum(parts.values()) / 1024)
            samples.add("websockets alone", "KB", _alone(host, "websockets") / 1024)
            for group in GROUPS[proxy]:
                host.write(OPENSSL_CONF, OPENSSL_GROUPS.format(group))
                alone = _alone(host, "openssl", f"OPENSSL_CONF={OPENSSL_CONF}")
                samples.add(f"OpenSSL alone, {group}", "KB", alone / 1024)
        for level in LEVELS[:2] if quick else LEVELS:
            start_direct(host, level)
            taken = _taken(host, contenders["processes"], clients, offer=True)
            samples.add(f"process, compression {level}", "KB", taken.app / 1024)
        samples.write("memory", host, quick)


def _taken(host: Host, contender: Contender, clients: int, *, offer: bool) -> Taken:
    target: Target = replace(contender.target, offer=offer)
    with Crowd(target, sources.on_bridge(1)) as crowd:
        crowd.open(FIRST)
        crowd.echo(64, 0.2, 0.0)
        before = _used(host, contender)
        held = crowd.open(clients).held
        crowd.echo(64, 0.1, 0.0)
        after = _used(host, contender)
    each = [(new - old) / (held - FIRST) for new, old in zip(after, before, strict=True)]
    return Taken(*each)


def _alone(host: Host, what: str, environment: str = "") -> float:
    """Return the bytes of a connection in a library by itself."""
    script = (ALONE / f"{what}.py").read_text()
    packages = "PYTHONPATH=$(readlink -f /srv/ws/current)/lib"
    return float(host.shell(f"{environment} {packages} python3 - <<'E'\n{script}\nE"))


def _used(host: Host, contender: Contender) -> tuple[int, int, int]:
    time.sleep(0.5)
    return (
        host.memory(contender.proxy) if contender.proxy else 0,
        host.memory(contender.app),
        kernel_memory(),
    )


if __name__ == "__main__":
    part.run(main)
