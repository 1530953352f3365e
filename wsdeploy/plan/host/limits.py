"""Every limit and time-out of a deployment, derived in one place. Pure.

The one number is `max_connections`. What a host allows can be less than what it asks for: limits
then take what there is, and the shortfalls say what that holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from wsdeploy.plan.host.survey import Survey
from wsdeploy.settings import Settings
from wsdeploy.settings.app import PROCESSES_MOST, App

# Where the kernel starts to queue SYNs for longer than a client waits, more backlog is no help.
BACKLOG_MOST = 16_384
BACKLOG_LEAST = 4_096  # the kernel's own default of net.core.somaxconn since 5.4

# No process of ours has a use for more: a million connections, and what comes with them.
OPEN_FILES_MOST = 1_100_000

# Files that a process has open beside its connections: listeners, logs, libraries, epoll.
SPARE_FILES = 128

# Connections of a proxy that are not clients yet, or never will be: TLS handshakes, requests that
# are still being sent, and those who are told "503". A tenth as many as clients, and at least this
# many; on a host that allows few open files, a fiftieth of those.
WAITING_LEAST = 1024

# When less than a sixteenth of a worker's connections is free, nginx closes those that wait for a
# request, in the middle of their TLS handshake too (ngx_drain_connections). Measured: a worker with
# 19,872 connections holds 9,316 clients.
FREE_FOR_NGINX = 16 / 15

# nginx workers for each processor at most, where a worker's open files have no room for its share
# of the clients. More would only take turns on the processors.
WORKERS_MOST = 4

# With "auto": when one crashes, the other one serves.
PROCESSES_LEAST = 2

# The app's side (wsapp): seconds for a client to answer the close frame, and to finish its
# handshake. Both are the defaults of the websockets library.
CLOSE_TIMEOUT = 10
OPEN_TIMEOUT = 10

# Seconds that a process of wsapp may take to stop beyond the drain and the close time-out
# (Config.stop_limit), and a margin, so that it always ends by itself.
STOP_REST = 3 + 5


@dataclass(frozen=True)
class Limits:
    """Numbers for one host's configuration files."""

    open_files: int
    """Open files that this host can allow a process at most."""
    app_files: int
    """Open files of one app process. Each could have to take the clients of all proxies, after the
    others crash: a limit costs nothing until it is used."""
    workers: int | None
    """nginx workers, or None for nginx's own "auto", one for each processor: where the open files
    of those have no room for all clients."""
    worker_connections: int
    """Connections of one nginx worker: client and upstream count, so a WebSocket needs two. A
    sixteenth of them stays free."""
    worker_files: int
    """Open files of one nginx worker."""
    worker_clients: int
    """Clients that all of a host's nginx workers hold; one more is told "503"."""
    worker_room: int
    """Clients that nginx could hold, whatever `max_connections` is."""
    waiting: int
    """Connections of a proxy for those who are not served yet, or told "503"."""
    backlog: int
    """Handshakes that can wait to be accepted, on every listener."""
    idle_timeout: int
    """Seconds without traffic after which the proxy gives a connection up. The app's pings keep
    it alive, and an unanswered ping ends it first, in the app, with a close code."""
    stop_wait: int
    """Seconds that Supervisor waits for a process to drain before it kills it."""
    shutdown_drain: float
    """Seconds over which processes close their connections when the host goes down."""
    unit_stop: int
    """Seconds that systemd waits for Supervisor to stop all processes before it kills them."""
    proxy_shortfall: str | None
    """What a proxy host's limits don't allow of max_connections, in words, or None."""
    app_shortfall: str | None
    """What an app host's limits don't allow of max_connections, in words, or None."""


def app_clients(settings: Settings) -> int:
    """Return how many clients an app host could have to take: all that its proxies hold."""
    topology = settings.topology
    return settings.max_connections * (1 if topology.alone else max(1, len(topology.proxy)))


def idle_timeout(app: App) -> int:
    """Return the seconds without traffic after which a proxy gives a connection up.

    Without a time-out of the app's own, the proxy's is what finds a dead client: three pings.
    """
    return round(app.ping_interval + (app.ping_timeout or 2 * app.ping_interval)) + 15


def processes(settings: Settings, survey: Survey) -> int:
    """Return how many processes of the app a host has.

    "auto" is one for each processor, and as many as have room for all clients (`app_clients`) in
    the open files of each.
    """
    if isinstance(settings.app.processes, int):
        return settings.app.processes
    each = _ceiling(survey) - SPARE_FILES
    needed = math.ceil(app_clients(settings) / each)
    return min(PROCESSES_MOST, max(PROCESSES_LEAST, needed, survey.limits.get("processors", 1)))


def _ceiling(survey: Survey) -> int:
    return min(survey.limits.get("open_files", OPEN_FILES_MOST), OPEN_FILES_MOST)


def derive(settings: Settings, survey: Survey, processes: int) -> Limits:
    """Return the limits for a host: what `settings` ask for, as far as the host allows it.

    processes: how many of the app it has.
    """
    wanted = settings.max_connections
    ceiling = _ceiling(survey)
    processors = survey.limits.get("processors", 1)

    waiting = max(64, min(max(WAITING_LEAST, wanted // 10), ceiling // 50))
    most = min(ceiling - SPARE_FILES, math.floor((ceiling - 1) / FREE_FOR_NGINX))
    used = min(2 * wanted + SPARE_FILES + waiting, most)
    each = max(1, (used - waiting) // 2)
    workers = min(max(processors, math.ceil(wanted / each)), processors * WORKERS_MOST)
    held = each * workers
    room = (most - waiting) // 2 * processors * WORKERS_MOST
    connections = min(math.ceil(used * FREE_FOR_NGINX) + 1, ceiling)
    app, clients = settings.app, app_clients(settings)
    shutdown_drain = min(app.drain, app.shutdown_drain)

    def stop(drain: float) -> int:
        return math.ceil(max(drain, 1)) + CLOSE_TIMEOUT + STOP_REST

    def shortfall(held: int, by: str, wanted: int, whose: str = "") -> str | None:
        return (
            f"this host allows {ceiling:,} open files per process, so its {by} hold {held:,} "
            f"clients, not the {wanted:,} of max_connections{whose}"
            if held < wanted
            else None
        )

    return Limits(
        open_files=ceiling,
        app_files=min(clients + SPARE_FILES, ceiling),
        workers=workers if workers > processors else None,
        worker_connections=connections,
        # Twice is the rule for nginx: a connection can have a file beside its socket.
        worker_files=min(2 * connections, ceiling),
        worker_clients=min(wanted, held),
        worker_room=room,
        waiting=waiting,
        backlog=max(BACKLOG_LEAST, min(wanted, BACKLOG_MOST)),
        idle_timeout=idle_timeout(app),
        stop_wait=stop(app.drain),
        shutdown_drain=shutdown_drain,
        unit_stop=stop(shutdown_drain) + 15,
        proxy_shortfall=shortfall(held, f"{workers} nginx workers", wanted),
        app_shortfall=shortfall(
            (ceiling - SPARE_FILES) * processes,
            f"{processes} app processes",
            clients,
            " on all proxies" if clients > wanted else "",
        ),
    )
