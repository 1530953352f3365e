"""The gate before the gate, for ports: where generations share one, no client may help to try.

With SO_REUSEPORT the kernel sends clients to a new process from the moment it listens, healthy or
not. So one process of the new generation is first tried on an address that no client uses.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from wshost.common import sockets
from wshost.rollout import generations
from wshost.rollout.gate import POLL, Readiness, wait_healthy
from wshost.rollout.generations import Generation

if TYPE_CHECKING:
    from wshost.requests import Rollout

ADDRESS = "127.83.87.68"
"""All of 127.0.0.0/8 is this host, without any set-up; nothing else is likely to use this one."""


def held(new: Generation, request: Rollout) -> bool:
    """Try one process of `new` at an address of its own, and remove it again.

    Returns False for an app that takes its address from elsewhere than its environment, and so
    can't be tried. Raises GateClosedError if the process is not healthy.
    """
    name = f"{new.name}_00"
    readiness = Readiness.of(request)
    elsewhere = readiness.listen._replace(place=ADDRESS)
    generations.add(new, request, elsewhere, autostart=False)
    try:
        generations.start(new, name)
        if not _listens_elsewhere(new, name, elsewhere.port, readiness.start_timeout):
            return False
        wait_healthy(new, [name], readiness._replace(listen=elsewhere))
    finally:
        generations.remove(new, request["stop_wait"])
    return True


def _listens_elsewhere(new: Generation, name: str, port: int, start_timeout: float) -> bool:
    """Wait until a process listens; return whether it does where it was told to.

    True, too, for one that never listens: the gate will say so.
    """
    deadline = time.monotonic() + start_timeout
    while time.monotonic() < deadline:
        pid, listeners = new.pid(name), sockets.listeners([port])
        own = sockets.owners([each.inode for each in listeners], [pid] if pid else [])
        found = {each.address for each in listeners if each.inode in own}
        if found:
            return ADDRESS in found
        time.sleep(POLL)
    return True
