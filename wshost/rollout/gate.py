"""The gate of a rollout: every new process must answer, by itself, before anything is switched."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from wshost.common import progress, sockets
from wshost.common.listen import Listen
from wshost.common.text import spelt
from wshost.rollout import generations
from wshost.rollout.generations import Generation
from wshost.rollout.probe import ProbeError, Target, handshake, health

if TYPE_CHECKING:
    from wshost.requests import Probe, Progress, Rollout

POLL = 0.1
"""Seconds between two looks at a process that is not ready yet."""
WATCH = 0.5
"""Seconds between two looks at a process that is healthy."""
SECOND_LOOK = 1
"""Seconds that a process has to answer once it was healthy."""
STEP = 5
"""Seconds for each step of a handshake."""
ENDS = 2
"""A process that has ended so many times more, and is not there, will not stay."""
NOBODY_LISTENS = (FileNotFoundError, ConnectionRefusedError)
"""What is raised while a process has not come so far as to listen."""


class GateClosedError(Exception):
    """A process did not become healthy in time; the message says which one, and why."""


class Readiness(NamedTuple):
    """What processes have to show before clients are sent to them."""

    listen: Listen
    """Where they are asked."""
    probe: Probe
    start_timeout: float
    """Seconds for them to become healthy."""
    healthy_for: float
    """Seconds for which they have to stay so."""

    @classmethod
    def of(cls, request: Rollout) -> Readiness:
        """Return what a request asks for."""
        return cls(
            generations.listens_at(request),
            request["probe"],
            request["start_timeout"],
            request["healthy_for"],
        )


def wait_healthy(generation: Generation, names: list[str], readiness: Readiness) -> None:
    """Wait until processes of a generation pass the probe, all at once, and go on passing it.

    Raises GateClosedError when a process does not.
    """
    start = time.monotonic()
    deadline = start + readiness.start_timeout
    reached: set[int] = set()
    healthy: set[str] = set()

    def wait(name: str) -> str | None:
        complaint = _wait(generation, name, readiness, deadline, reached)
        if complaint is None:
            healthy.add(name)
        return complaint

    def look() -> Progress:
        seconds = round(time.monotonic() - start, 1)
        return {"gate": {"healthy": len(healthy), "of": len(names), "seconds": seconds}}

    with progress.ticking(look), ThreadPoolExecutor(max_workers=len(names)) as pool:
        for complaint in pool.map(wait, names):
            if complaint:
                waited = min(readiness.start_timeout, round(time.monotonic() - start, 1))
                raise GateClosedError(f"{complaint} (waited {waited:g} s; nobody was sent there)")
        failed = threading.Event()
        for complaint in pool.map(lambda n: _watch(generation, n, readiness, failed), names):
            if complaint:
                raise GateClosedError(f"{complaint} (nobody was sent there)")


def _wait(
    generation: Generation,
    name: str,
    readiness: Readiness,
    deadline: float,
    reached: set[int],
) -> str | None:
    """Return None when a process is healthy, or at the deadline what is wrong with it.

    reached: processes that passed the probe, whoever asked them.
    """
    probe, listen = readiness.probe, readiness.listen
    target = _target(probe, listen, name)
    complaint, starts = "it never answered", generation.starts(name)
    silent: Exception | None = None
    while time.monotonic() < deadline:
        try:
            reached |= _answering(target, probe)
            if target.unix or generation.pid(name) in reached:
                return None
            complaint, silent = "another process answers where it should listen", None
        except (ProbeError, OSError) as error:
            complaint = str(error)
            silent = error if isinstance(error, NOBODY_LISTENS) else None
        if generation.starts(name) - starts >= ENDS and not generation.pid(name):
            # It will not be better after a hundred times.
            return f"{name} ends whenever it is started ({generation.last_end(name)})"
        time.sleep(POLL)
    pid = generation.pid(name)
    elsewhere = _elsewhere(pid, listen, name)
    if silent is not None and not elsewhere:
        if not pid:
            return f"{name} has ended ({generation.last_end(name)})"
        complaint = (
            f"it runs, but does not listen on {_shown(listen, name)} yet ({complaint}); "
            "App.start_timeout is how long it may take"
        )
    return f"{name} is not healthy: {complaint}{elsewhere}"


def _watch(
    generation: Generation, name: str, readiness: Readiness, failed: threading.Event
) -> str | None:
    """Return None when a process has stayed healthy for long enough, or what went wrong.

    failed: set when one process fails; then the others need not be watched any longer.
    """
    start, born = time.monotonic(), generation.pid(name)
    end = start + readiness.healthy_for
    while time.monotonic() < end:
        if failed.wait(min(WATCH, max(0, end - time.monotonic()))):
            return None
        # It may be in the middle of a request of its own, so a second look counts. Who answers on
        # a port that is shared is for the kernel to say; it need not be this one again.
        deadline = time.monotonic() + SECOND_LOOK
        complaint = _wait(generation, name, readiness, deadline, {born})
        after = f"{name} was healthy for {time.monotonic() - start:.1f} s"
        if complaint:
            failed.set()
            return f"{after}; then {complaint}"
        if generation.pid(name) != born:
            failed.set()
            return f"{after}; then it crashed, and was started again"
    return None


def _answering(target: Target, probe: Probe) -> set[int]:
    """Do the whole probe; return who answered, with ancestors: nobody for a unix socket.

    A TCP port may be shared with other processes; then it takes some connections to reach all.
    Raises ProbeError or OSError.
    """
    reached: set[int] = set()

    def opened(connection: socket.socket) -> None:
        if not target.unix:
            reached.update(sockets.serving(connection))

    if probe["health"] is not None:
        health(target, probe["health"], STEP)
    handshake(target, STEP, probe["send"], probe["expect"], opened)
    return reached


def _target(probe: Probe, listen: Listen, name: str) -> Target:
    """Return where a process listens, for a client."""
    if listen.unix:
        return Target(probe["host"], probe["path"], unix=listen.socket(name))
    return Target(probe["host"], probe["path"], address=listen.address(name))


def _shown(listen: Listen, name: str) -> str:
    return listen.socket(name) if listen.unix else sockets.shown(*listen.address(name))


def _elsewhere(pid: int, listen: Listen, name: str) -> str:
    """Say where a process listens, if it does, but not where it should."""
    found = sockets.listening(pid) if pid else []
    wanted = _shown(listen, name)
    if listen.unix:
        good = {wanted, wanted.rpartition("/")[2]}
    else:
        _, port = listen.address(name)
        good = {wanted, sockets.shown("0.0.0.0", port), sockets.shown("::", port)}  # noqa: S104
    if not found or good.intersection(found):
        return ""
    return f"; it should listen on {wanted}, and listens on {' and '.join(map(spelt, found))}"
