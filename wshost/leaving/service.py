"""Begin the drain when this machine's cloud says that it takes it away. Runs as a service.

    python3 -m wshost.leaving CONFIGURATION

First /healthz says so, for as long as a balancer takes to notice, while everyone is served; then
Supervisor is stopped, which closes connections in turn, as when the machine is powered off.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common.journal import NOTICE, WARNING, notify, say
from wshost.leaving import metadata

if TYPE_CHECKING:
    from wshost.requests import LeavingWatch

POLL = 2.0
"""Seconds between two questions. Amazon's notice is to be looked for every five."""
STEP = 0.5
HAPROXY = "/run/haproxy/admin.sock"
SAY_LEAVING = b"experimental-mode on; set var proc.leaving bool(true)\n"


def announce(mark: str, haproxy: str = HAPROXY) -> None:
    """Let /healthz fail from now on: nginx looks for a file, HAProxy is told."""
    Path(mark).touch()
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as admin:
        admin.settimeout(1)
        admin.connect(haproxy)
        admin.sendall(SAY_LEAVING)
        admin.recv(1000)


def stop() -> None:
    """Stop the app's processes as they stop when the machine does, and wait until they are gone."""
    subprocess.run(("systemctl", "stop", "--no-block", "supervisor.service"), check=False)
    while subprocess.run(
        ("systemctl", "show", "--property=ActiveState", "--value", "supervisor.service"),
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip() in ("active", "deactivating"):
        notify("WATCHDOG=1")
        time.sleep(STEP)


def watch(conf: LeavingWatch) -> str:
    """Return why this machine goes, as soon as its cloud says so."""
    cloud = metadata.cloud(conf["cloud"], conf["metadata"])
    complaint = ""
    while True:
        try:
            reason = cloud.reason()
            if reason:
                return reason
            complaint = ""
        except metadata.MetadataError as error:
            # Once, until it is another.
            if str(error) != complaint:
                say(WARNING, f"nobody tells when this machine goes: {error}")
            complaint = str(error)
        notify("WATCHDOG=1")
        time.sleep(POLL)


def leave(conf: LeavingWatch, reason: str) -> None:
    """Let the balancer know, wait until it does, and close connections in turn."""
    say(NOTICE, f"this machine goes ({reason}): /healthz fails, the drain follows")
    until = time.monotonic() + conf["quiet"]
    while True:
        # Again and again: a proxy that reloads forgets it.
        announce(conf["mark"])
        notify("WATCHDOG=1")
        left = until - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(STEP, left))
    stop()
    say(NOTICE, "all connections are closed")


def main(arguments: list[str]) -> None:
    """Watch for ever; with --check, only see whether the configuration can be read."""
    conf: LeavingWatch = json.loads(Path(arguments[-1]).read_text())
    metadata.cloud(conf["cloud"], conf["metadata"])
    if arguments[0] == "--check":
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(conf["mark"])
    notify("READY=1")
    leave(conf, watch(conf))
    while True:
        notify("WATCHDOG=1")
        time.sleep(POLL)
