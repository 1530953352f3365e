"""How many clients a host holds, and what gives out first. Pure.

docs/operate/capacity.md explains the formulas. Each limit is a number of clients; the least one
counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from wsdeploy.plan.app import process_counts, upstreams
from wsdeploy.plan.capacity.usage import Measured, Use
from wsdeploy.plan.host import firewall, limits
from wsdeploy.plan.host.limits import SPARE_FILES
from wsdeploy.plan.proxy import haproxy, internal
from wsdeploy.plan.target import Target
from wsdeploy.settings import Nginx, Settings
from wsdeploy.settings.app import PROCESSES_MOST

KIB, MIB, GIB = 2**10, 2**20, 2**30

APP_CLIENT = {"off": 18 * KIB, "low": 48 * KIB, "medium": 57 * KIB, "high": 115 * KIB}
"""Bytes of a process of wsapp for each client, by `App.compression`. Measured with short messages;
an app that keeps something for each client has that on top."""

APP_PROCESS = 17 * MIB
"""Bytes of a process of wsapp without clients; of what it has in common with others, its share.
Measured with two processes of files/app.py on Debian 12 and 13."""

HYBRID = 7 * KIB
"""More bytes for a client that agrees on X25519MLKEM768, as browsers do: OpenSSL 3.5 (Debian 13)
keeps the key. Measured with OpenSSL alone (docs/benchmarks.md): 28 instead of 22."""

PROXY_CLIENT = {"Nginx": 46 * KIB + HYBRID, "HAProxy": 33 * KIB + HYBRID}
"""Bytes of a proxy for each client over TLS, the connection to the app included. Measured with
TLS 1.3, X25519 and 2,500 clients, the higher of Debian 12 and 13 (nginx 50 and 57 before
ssl_buffer_size took 11 off, which docs/benchmarks.md has for Debian 12: 38; HAProxy 23 and 33)."""

INNER_TLS = 28 * KIB
"""More bytes of a proxy for each client where TLS is between the tiers: a connection of OpenSSL 3.5
with X25519MLKEM768. Calculated, not measured with a proxy."""

TCP_SOCKET, UNIX_SOCKET = 4 * KIB, 2.5 * KIB
"""Bytes of the kernel for a connection's end without data: socket, inode, directory entry, file,
epoll item. The sizes of these objects in /proc/slabinfo of Linux 6.18, added up."""

FREE = 0.1
"""Share of a host's memory that is left for the rest: page cache, peaks, data under way."""

BUSY = 0.8
"""Share of a host's processors that is meant to be used. Above it, queues grow quickly."""

HARD_LIMIT = "a higher hard limit of the host"

FULL_LEAST = 1_000
"""Clients of a process from which on its memory is divided by them."""


@dataclass(frozen=True)
class Limit:
    """What a host holds by one measure."""

    clients: int
    what: str
    remedy: str
    """What to change, and to what."""


def wanted(target: Target) -> int:
    """Return how many clients a host should hold: an app host, all that its proxies may send."""
    proxies = 1 if target.is_proxy else len(target.settings.topology.proxy)
    return target.settings.max_connections * proxies


def found(target: Target, measured: Measured) -> list[Limit]:
    """Return all limits of a host, the lowest first. measured: what it has said."""
    others = sorted(_others(target, measured), key=lambda limit: limit.clients)
    if not target.is_proxy:
        return others
    own, rest = target.settings.max_connections, others[0].clients if others else 0
    rounded = max(1, _rounded(rest))
    if rounded > own:
        remedy = f"max_connections={rounded:_} is what the rest allows"
    elif rest >= own:
        remedy = "the rest allows no more"
    else:
        remedy = f"max_connections={rounded:_} would refuse those that the host can't hold"
    limit = Limit(own, "max_connections", remedy)
    return sorted([limit, *others], key=lambda limit: limit.clients)


def _rounded(clients: int) -> int:
    """Return a number of two digits and zeros that is not more."""
    scale = 10 ** max(0, len(str(clients)) - 2)
    return int(clients // scale * scale)


def _others(target: Target, measured: Measured) -> Iterator[Limit]:
    """Yield all limits but max_connections."""
    settings = target.settings
    if target.is_app and measured.app:
        yield _app_files(target, measured.app)
    if target.is_proxy and measured.proxy:
        yield _proxy_files(target, measured)
        yield from _ports(target, measured)
        if measured.tracked and not settings.topology.alone and firewall.wanted(settings):
            count, most = measured.tracked
            room = most - max(0, count - measured.proxy.clients)
            more = f"net.netfilter.nf_conntrack_max={most + max(0, wanted(target) - room)}"
            yield Limit(room, "connections that the packet filter tracks", more)
    if internal.wanted(target):
        what = f"open files of the TLS listener, {measured.limits['open_files']:,}"
        room = internal.fits(target)
        yield Limit(room, what, HARD_LIMIT)
    yield _host_files(target, measured)
    yield _memory(target, measured)
    yield from _processors(target, measured)


def _app_files(target: Target, app: Use) -> Limit:
    derived, count = target.limits, target.processes
    if app.files < derived.app_files:
        room = max(0, app.files - SPARE_FILES) * count
        return Limit(
            room,
            f"open files of {count} processes, which were started with {app.files:,} each",
            f"deploy, which gives each {derived.app_files:,}",
        )
    each = derived.open_files - SPARE_FILES
    room = each * count
    needed = min(PROCESSES_MOST, math.ceil(wanted(target) / each))
    more = f"App(processes={needed})" if count < needed else "more processes"
    return Limit(
        room,
        f"open files of {count} processes, {derived.open_files:,} each",
        f"{more}, or {HARD_LIMIT}",
    )


def _proxy_files(target: Target, measured: Measured) -> Limit:
    derived = target.limits
    if isinstance(target.settings.proxy, Nginx):
        workers = measured.limits["processors"] * limits.WORKERS_MOST
        room = derived.worker_room
        what = f"open files of up to {workers} nginx workers, {derived.open_files:,} each"
    else:
        room = haproxy.fits(target) - derived.waiting
        what = f"open files of HAProxy, {derived.open_files:,}"
    return Limit(room, what, f"{HARD_LIMIT}, or one more proxy")


def _ports(target: Target, measured: Measured) -> Iterator[Limit]:
    """Yield what source ports allow: each connection to one listener needs its own."""
    settings = target.settings
    if (
        process_counts.are_cached(settings)
        and set(settings.topology.app) - measured.app_processes.keys()
    ):
        # Not all app hosts have been asked.
        return
    listeners = [it for it in upstreams.upstreams(target) if not it.unix]
    if not listeners:
        return
    room = measured.ports * len(listeners)
    hosts = len({it.address for it in listeners})
    needed = max(math.ceil(wanted(target) / measured.ports / hosts), len(listeners) // hosts + 1)
    if settings.listen() == "shared":
        remedy = 'App(listen="tcp"): each process has its own'
    elif needed <= PROCESSES_MOST:
        remedy = f"App(processes={needed})"
    else:
        remedy = "one more app host"
    what = f"{measured.ports:,} source ports to each of {len(listeners)} listeners of the app"
    yield Limit(room, what, remedy)


def _sockets(target: Target) -> tuple[int, int]:
    """Return a client's ends of TCP and of unix connections on a host."""
    unix = target.settings.listen() == "unix"
    ends = target.is_proxy + target.is_app
    # Where TLS is between the tiers, an app host has a program that passes on to the sockets.
    inner = 2 if internal.wanted(target) else 0
    tcp = int(target.is_proxy)
    if unix and not target.settings.internal_tls:
        return tcp, ends
    return tcp + ends, inner


def _host_files(target: Target, measured: Measured) -> Limit:
    used, most = measured.files
    each = sum(_sockets(target))
    room = max(0, most - used) // each + measured.clients
    return Limit(room, f"open files of the whole host, {most:,}", "sysctl fs.file-max")


def app_client(settings: Settings, app: Use) -> float:
    """Return the bytes that the app's processes take for a client.

    By the table, or more if that is what it looks like with many clients.
    """
    listed = APP_CLIENT[settings.app.compression]
    if app.clients < FULL_LEAST * app.processes:
        return listed
    return max(listed, (app.memory - app.processes * APP_PROCESS) / app.clients)


def _memory(target: Target, measured: Measured) -> Limit:
    """Return what memory allows.

    A deployment has the app's processes twice: the old ones give nothing back before they end.
    """
    settings = target.settings
    tcp, unix = _sockets(target)
    app = measured.app
    once = tcp * TCP_SOCKET + unix * UNIX_SOCKET
    twice, present = 0.0, 0
    programs = target.is_proxy + internal.wanted(target)
    once += programs * PROXY_CLIENT[type(settings.proxy).__name__]
    if settings.internal_tls and target.is_proxy:
        once += INNER_TLS
    if app:
        twice, present = app_client(settings, app), app.memory
    clients = measured.clients
    spare = measured.available - FREE * measured.limits["memory"] - present
    # At `room` clients: spare = (room - clients) * once + (2 * room - 2 * clients) * twice.
    per_client = once + 2 * twice
    room = max(0, math.floor(clients + spare / per_client))
    more = (wanted(target) - room) * per_client / (1 - FREE)
    what = f"memory, {once / KIB + twice / KIB:.0f} KiB for a client"
    what += ", the app's part twice in a deployment" if app else ""
    remedy = f"{more / GIB:.1f} GiB more" if more > 0 else "more memory"
    return Limit(room, what, remedy)


def _processors(target: Target, measured: Measured) -> Iterator[Limit]:
    """Yield what processors allow, if each client goes on to cost what it costs now."""
    cores = measured.limits["processors"]
    per_client = measured.cores_per_client
    if not per_client:
        return
    needed = math.ceil(wanted(target) * per_client / BUSY)
    remedy = f"{needed} cores" if needed > cores else "more cores"
    what = f"{cores} cores at {BUSY:.0%}, with what clients send now"
    yield Limit(math.floor(cores * BUSY / per_client), what, f"{remedy}, or one more host")
    app, count = measured.app, target.processes
    if app and app.cores_per_client and count < cores:
        room = math.floor(count * BUSY / app.cores_per_client)
        what = f"{count} processes, each on one core at {BUSY:.0%}"
        yield Limit(room, what, f"App(processes={min(cores, PROCESSES_MOST)})")
