"""The gate before the gate, for ports: where generations share one, no client may help to try.

With SO_REUSEPORT the kernel sends clients to a new process from the moment it listens, healthy or
not. So one process of the new generation is first tried on an address that no client uses.
"""

from __future__ import annotations

import base64
import re
import time
from typing import Any

from wshost import generations, peers
from wshost.gate import POLL, wait_healthy
from wshost.generations import Generation

ADDRESS = "127.83.87.68"
"""All of 127.0.0.0/8 is this host, without any set-up; nothing else is likely to use this one."""


def held(new: Generation, request: dict[str, Any]) -> bool:
    """Try one process of `new` at an address of its own, and remove it again.

    Returns False for an app that takes its address from elsewhere than its environment, and so
    can't be tried. Raises GateClosedError if the process is not healthy.
    """
    name = f"{new.name}_00"
    kind, _, where = request["listen"].partition(":")
    port = int(where.rpartition(":")[2])
    elsewhere = f"{kind}:{ADDRESS}:{port}"
    generations.add(new, [_at(file, request["listen"], elsewhere) for file in request["files"]])
    try:
        generations.start(new)
        if not _listens_elsewhere(new, name, port, request["start_timeout"]):
            return False
        wait_healthy(new, [name], request | {"listen": elsewhere})
    finally:
        generations.remove(new, request["stop_wait"])
    return True


def _listens_elsewhere(new: Generation, name: str, port: int, start_timeout: float) -> bool:
    """Wait until a process listens; return whether it does where it was told to.

    True, too, for one that never listens: the gate will say so.
    """
    deadline = time.monotonic() + start_timeout
    while time.monotonic() < deadline:
        pid, listeners = new.pid(name), peers.listeners([port])
        own = peers.owners([each.inode for each in listeners], [pid] if pid else [])
        found = {each.address for each in listeners if each.inode in own}
        if found:
            return ADDRESS in found
        time.sleep(POLL)
    return True


def _at(file: dict[str, Any], listen: str, elsewhere: str) -> dict[str, Any]:
    """Return a generation's file for one process that listens elsewhere."""
    text = base64.b64decode(file["content"]).decode()
    text = text.replace(f" {listen} ", f" {elsewhere} ")
    text = re.sub(r"^numprocs=\d+$", "numprocs=1", text, flags=re.MULTILINE)
    return {**file, "content": base64.b64encode(text.encode()).decode()}
