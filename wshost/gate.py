"""The gate of a rollout: every new process must answer, by itself, before anything is switched."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wshost import peers
from wshost.generations import Generation
from wshost.probe import ProbeError, Target, handshake, health

POLL = 0.1
"""Seconds between two looks at a process that is not ready yet."""
STEP = 5
"""Seconds for each step of a handshake."""


class GateClosedError(Exception):
    """A process did not become healthy in time; the message says which one, and why."""


def wait_healthy(generation: Generation, names: list[str], request: dict[str, Any]) -> None:
    """Wait until processes of a generation pass the probe, all at once.

    Keys of the request: `listen`, `probe`, and `start_timeout` in seconds.
    Raises GateClosedError when that time is over.
    """
    deadline = time.monotonic() + request["start_timeout"]
    with ThreadPoolExecutor(max_workers=16) as pool:
        for complaint in pool.map(lambda n: _wait(generation, n, request, deadline), names):
            if complaint:
                raise GateClosedError(
                    f"{complaint} (waited {request['start_timeout']:g} s; nobody was sent there)"
                )


def _wait(
    generation: Generation, name: str, request: dict[str, Any], deadline: float
) -> str | None:
    """Return None when a process is healthy, or at the deadline what is wrong with it."""
    probe = request["probe"]
    where = listener(request["listen"], name)
    target = Target(probe["host"], probe["path"], **where)
    complaint = "it never answered"
    while time.monotonic() < deadline:
        try:
            if _passes(target, probe, lambda: generation.pid(name)):
                return None
            complaint = "another process answers where it should listen"
        except (ProbeError, OSError) as error:
            complaint = str(error)
        time.sleep(POLL)
    return f"{name} is not healthy: {complaint}{_elsewhere(generation.pid(name), where)}"


def _passes(target: Target, probe: dict[str, Any], pid: Callable[[], int]) -> bool:
    """Do the whole probe; return whether it was the wanted process that answered.

    A TCP port may be shared with an old process; then it takes some connections to reach the new.
    """
    reached: set[int] = set()

    def opened(connection: socket.socket) -> None:
        if not target.unix:
            reached.update(peers.serving(connection))

    if probe["health"] is not None:
        health(target, probe["health"], STEP)
    handshake(target, STEP, probe["send"], probe["expect"], opened)
    return bool(target.unix) or pid() in reached


def listener(listen: str, name: str) -> dict[str, Any]:
    """Return where a process listens, as arguments of a Target; `listen` is as in launch.py."""
    kind, _, where = listen.partition(":")
    if kind == "unix":
        return {"unix": f"{where}/{name}.sock"}
    address, _, port = where.rpartition(":")
    return {"address": (address, int(port) + (int(name[-2:]) if kind == "tcp" else 0))}


def _elsewhere(pid: int, where: dict[str, Any]) -> str:
    """Say where a process listens, if it does, but not where it should."""
    found = peers.listening(pid) if pid else []
    if "unix" in where:
        wanted = where["unix"]
        good = {wanted, wanted.rpartition("/")[2]}
    else:
        host, port = where["address"]
        wanted = peers.shown(host, port)
        good = {wanted, peers.shown("0.0.0.0", port), peers.shown("::", port)}  # noqa: S104
    if not found or good.intersection(found):
        return ""
    return f"; it should listen on {wanted}, and listens on {' and '.join(found)}"
