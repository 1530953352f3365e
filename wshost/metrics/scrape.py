"""Answer one request of Prometheus with the numbers of this host; systemd starts it for each.

    python3 -m wshost.metrics.scrape CONFIGURATION

The connection is standard input and output. With --check in front of the configuration, it only
sees whether it could.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import select
import socket
import sys
import time
from calendar import timegm
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wshost.common import lock, supervisor
from wshost.common.listen import Listen
from wshost.config import ruleset
from wshost.metrics import page
from wshost.metrics.page import Page
from wshost.rollout import generations, history
from wshost.status import ask, status
from wshost.survey import capacity, certificates, survey

if TYPE_CHECKING:
    from wshost.requests import Change, GenerationNumbers, LockState, Scrape

PATIENCE = 1.0
"""Seconds that processes have to answer, all together; the rest of the page comes without them."""
REST = 0.5
"""Seconds that all else may take longer."""
HEAD_MOST, HEAD_SECONDS = 8192, 5
"""Bytes of a request, and seconds for it to come."""
ENDED_WELL = "done"


def main(arguments: list[str]) -> None:
    """Answer the request on standard input."""
    *options, path = arguments
    request: Scrape = json.loads(Path(path).read_text())
    if options == ["--check"]:
        return
    connection = socket.socket(fileno=0)
    with contextlib.suppress(OSError):
        connection.sendall(answer(request, connection).encode())
        connection.shutdown(socket.SHUT_WR)
    # Processes that hang must not keep this one.
    os._exit(0)


def answer(request: Scrape, connection: socket.socket) -> str:
    """Return what to answer on a connection."""
    head = _head(connection)
    method, _, rest = head.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if not _is_allowed(connection, request["allow"]):
        return _response("403 Forbidden", "Metrics(allow=...) names who may ask\n")
    if method not in ("GET", "HEAD"):
        return _response("405 Method Not Allowed", "GET it\n")
    if path != "/metrics":
        return _response("404 Not Found", "it is at /metrics\n")
    text = metrics(request)
    response = _response("200 OK", text, page.CONTENT_TYPE)
    return response.partition("\r\n\r\n")[0] + "\r\n\r\n" if method == "HEAD" else response


def _head(connection: socket.socket) -> str:
    """Return the first line of a request, once the whole head is there."""
    found, deadline = b"", time.monotonic() + HEAD_SECONDS
    while b"\r\n\r\n" not in found and len(found) < HEAD_MOST:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([connection], [], [], left)[0]:
            break
        read = connection.recv(HEAD_MOST)
        if not read:
            break
        found += read
    return found.partition(b"\r\n")[0].decode(errors="replace")


def _is_allowed(connection: socket.socket, networks: list[str]) -> bool:
    """Tell whether who asks may: an address of those networks, or this host."""
    client = ipaddress.ip_address(str(connection.getpeername()[0]).partition("%")[0])
    mapped = getattr(client, "ipv4_mapped", None)
    client = mapped or client
    return client.is_loopback or any(client in ipaddress.ip_network(each) for each in networks)


def _response(status_line: str, body: str, kind: str = "text/plain; charset=utf-8") -> str:
    length = len(body.encode())
    return (
        f"HTTP/1.1 {status_line}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
        f"Connection: close\r\n\r\n{body}"
    )


def metrics(request: Scrape) -> str:
    """Return the page of this host."""
    began, name = time.monotonic(), request["name"]
    questions: dict[str, Callable[[], Any]] = {
        "app": lambda: app(name, PATIENCE),
        "units": lambda: survey.units(request["units"]),
        "certificates": lambda: {it: certificates.read(it) for it in request["certificates"]},
        "firewall": lambda: ruleset.as_noted(name) if request["firewall"] else None,
        "lock": lambda: lock.read(name),
        "change": lambda: status.last_change(Path(f"/var/log/{name}/deploys.log")),
        "kills": lambda: len(status.kills(name)) if request["watchdog"] else None,
        "clients": lambda: clients() if request["proxy"] else None,
        "holds": lambda: holds(request["shared"]) if request["shared"] else None,
    }
    found = status.in_time(questions, PATIENCE + REST)
    made = Page()
    if request["app"]:
        _app(made, found.get("app"))
    _host(made, request, found)
    seconds = time.monotonic() - began
    made.add("ws_scrape_seconds", "gauge", "Seconds that this page took to make.", seconds)
    return made.text()


def app(name: str, patience: float) -> list[GenerationNumbers] | None:
    """Return what all processes of all generations say; None without Supervisor."""
    try:
        every = supervisor.processes(timeout=patience / 2)
    except supervisor.SupervisorError:
        return None
    groups = {each["group"] for each in every}
    known = [it for it in generations.generations(name) if it.group in groups]
    asked = {it.group: partial(_asked, it, every, patience) for it in known}
    replies: Mapping[str, Any] = status.in_time(asked, patience + 0.2)
    live = generations.live(name)
    found: list[GenerationNumbers] = []
    for it in known:
        described = it.described()
        record = history.record(name, it.id) if it.id == live else None
        commit = record.request.get("commit") if record else None
        found.append(
            {
                "id": it.id,
                "live": it.id == live,
                "release": described["release"] if described else "",
                "commit": commit["id"] if commit else "",
                "processes": [
                    {
                        "name": each["name"],
                        "runs": each["statename"] == "RUNNING",
                        "starts": it.starts(each["name"]),
                        "reply": reply.reply if reply else None,
                        "text": reply.text if reply else "",
                    }
                    for each in every
                    if each["group"] == it.group
                    for reply in (replies.get(it.group, {}).get(each["name"]),)
                ],
            }
        )
    return found


def _asked(it: generations.Generation, every: list[Any], patience: float) -> Any:
    described = it.described()
    names = [p["name"] for p in every if p["group"] == it.group and p["statename"] == "RUNNING"]
    if described is None or not names:
        return {}
    watch = described["watch"]
    listen, host = Listen.read(described["listen"]), watch["host"] if watch else "localhost"
    return ask.processes(listen, names, it.group, host, patience)


def clients() -> int:
    """Return how many connections the proxy has to the port of clients, all its processes."""
    words = ("ss", "--no-header", "--numeric", "--tcp", "state", "established")
    return survey.run(*words, f"( sport = :{capacity.HTTPS} )").count("\n")


def holds(shared: str) -> bool:
    """Tell whether this host has the shared addresses: on an interface, not only on lo."""
    listing = survey.run("ip", "-oneline", "address", "show", "to", shared)
    return any(line.split()[1] != "lo" for line in listing.splitlines() if len(line.split()) > 1)


def _app(made: Page, found: list[GenerationNumbers] | None) -> None:
    made.add("ws_supervisor_up", "gauge", "Whether Supervisor answers.", 0 if found is None else 1)
    up = "Whether a process answers. One that listens and says nothing does not."
    started = "Times that a process was started in its generation."
    release = "What serves."
    made.add("ws_process_up", "gauge", up, None)
    made.add("ws_process_starts_total", "counter", started, None)
    made.add("ws_release_info", "gauge", release, None)
    for each in found or ():
        if each["live"]:
            told = {"release": each["release"], "generation": each["id"], "commit": each["commit"]}
            made.add("ws_release_info", "gauge", release, 1, told)
        for process in each["processes"]:
            labels = {
                "process": process["name"],
                "generation": each["id"],
                "live": "1" if each["live"] else "0",
            }
            answers = process["runs"] and process["reply"] in ("answered", None)
            made.add("ws_process_up", "gauge", up, int(answers), labels)
            made.add("ws_process_starts_total", "counter", started, process["starts"], labels)
            made.take(process["text"], labels)


def _host(made: Page, request: Scrape, found: Mapping[str, Any]) -> None:
    made.add(
        "ws_capacity_clients",
        "gauge",
        "Clients that the host should hold at once (max_connections).",
        request["max_connections"],
    )
    for unit, state in sorted((found.get("units") or {}).items()):
        failed = state.get("ActiveState") == "failed"
        made.add(
            "ws_unit_failed", "gauge", "Whether a systemd unit has failed.", failed, {"unit": unit}
        )
        active = state.get("ActiveState") in ("active", "activating", "reloading")
        made.add("ws_unit_active", "gauge", "Whether a systemd unit runs.", active, {"unit": unit})
    for path, certificate in sorted((found.get("certificates") or {}).items()):
        made.add(
            "ws_certificate_not_after",
            "gauge",
            "When the certificate ends, in seconds since 1970; 0 without one.",
            _end(certificate),
            {"path": path},
        )
    if found.get("firewall") is not None:
        text = "Whether the loaded rules are those of the last deployment."
        made.add("ws_firewall_as_deployed", "gauge", text, int(found["firewall"]))
    if found.get("kills") is not None:
        text = "Processes that the watchdog has killed in the last hour."
        made.add("ws_watchdog_kills_last_hour", "gauge", text, found["kills"])
    if found.get("clients") is not None:
        text = "Connections of clients to the proxy, over all of its processes."
        made.add("ws_proxy_connections", "gauge", text, found["clients"])
    if found.get("holds") is not None:
        text = "Whether the host has the shared addresses."
        made.add("ws_failover_holder", "gauge", text, int(found["holds"]))
    _run(made, found.get("lock"), found.get("change"))
    for disk in map(status.disk, request["folders"]):
        labels = {"folder": disk["folder"]}
        made.add("ws_disk_free_bytes", "gauge", "Room on a disk.", disk["free"], labels)
        made.add("ws_disk_size_bytes", "gauge", "Size of a disk.", disk["size"], labels)
    memory = survey.limits()["memory"]
    used, most = capacity.memory(memory)
    made.add("ws_memory_available_bytes", "gauge", "Memory that is left.", most - used)
    made.add("ws_memory_bytes", "gauge", "Memory of the host.", most)


def _run(made: Page, held: LockState | None, change: Change | None) -> None:
    since = held["since"] if held and held["until"] is None else 0
    text = "Since when a run has the lock of the fleet, in seconds since 1970; 0 if none has."
    made.add("ws_lock_held_since", "gauge", text, since)
    text = "When something was deployed last, or should have been, in seconds since 1970."
    made.add("ws_deploy_last", "gauge", text, None)
    well = "Whether that has ended well."
    made.add("ws_deploy_last_ok", "gauge", well, None)
    if change:
        labels = {"action": change["action"]}
        with contextlib.suppress(ValueError):
            at = timegm(time.strptime(change["time"], "%Y-%m-%dT%H:%M:%SZ"))
            made.add("ws_deploy_last", "gauge", text, at, labels)
        made.add("ws_deploy_last_ok", "gauge", well, int(change["outcome"] == ENDED_WELL), labels)


def _end(certificate: Any) -> float:
    """Return when a certificate ends, by OpenSSL's words for it."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return float(timegm(time.strptime(certificate["not_after"], "%Y-%m-%d %H:%M:%SZ")))
    return 0.0


if __name__ == "__main__":
    main(sys.argv[1:])
