"""Ready this machine for an image: take away what serves, what is secret, and what it is known by.

Packages, configuration and releases stay, so that a machine of the image has little to do. It
serves when its first run has let all processes answer.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from wshost.common import storage, supervisor
from wshost.rollout import description, generations

if TYPE_CHECKING:
    from wshost.requests import Seal

IDENTITY = (
    "/etc/ssh/ssh_host_*", "/var/lib/dbus/machine-id", "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret", "/var/lib/dhcp/*", "/root/.*_history",
    "/home/*/.*_history", "/var/log/journal/*", "/var/lib/systemd/timers/*",
)  # fmt: skip
"""Patterns of what a machine is known by, and of what it has done."""
LEFT_BLANK = ("/etc/machine-id", "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog")
"""What has to be there, but with nothing in it."""


def main(request: Seal) -> None:
    """Seal this machine; exit 1 with the reason if that can't be done."""
    try:
        with storage.exclusive(storage.STATE):
            seal(request)
    except (supervisor.SupervisorError, OSError) as error:
        sys.exit(f"{request['name']}: {error}")
    json.dump({"sealed": True}, sys.stdout)


def seal(request: Seal) -> None:
    """Seal this machine."""
    name = request["name"]
    # First the app: its close frames go through the proxy.
    if list(description.CONF.glob(f"{name}-*.conf")):
        mine = [*generations.generations(name)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: generations.remove(each, request["stop_wait"]), mine))
    for file in generations.descriptions(name):
        file.unlink()
    for unit in request["proxies"]:
        run("systemctl", "disable", "--quiet", "--now", unit)
    clear(request["secrets"])
    clear(patterns(name))
    if shutil.which("cloud-init"):
        run("cloud-init", "clean", "--logs", "--seed")
    run("journalctl", "--flush", "--rotate", "--vacuum-time=1s")
    clear(IDENTITY)
    for path in LEFT_BLANK:
        with contextlib.suppress(FileNotFoundError):
            os.truncate(path, 0)
    with open("/etc/hostname", "w", encoding="utf-8") as hostname:
        hostname.write("localhost\n")
    os.sync()


def patterns(name: str) -> tuple[str, ...]:
    """Return patterns of what is secret of a service, or tells what was on this machine."""
    return (
        f"/etc/{name}/*.env",
        f"/etc/{name}/tls/*",
        f"/etc/{name}/acme",
        f"/etc/tmpfiles.d/{name}-generation.conf",
        f"/srv/{name}/current",
        f"/srv/{name}/previous",
        f"/var/lib/{name}/*",
        f"/var/lib/{name}/.[!.]*",
        f"/var/lib/wsdeploy/services/{name}",
        f"/var/log/{name}/*",
        "/var/log/nginx/*",
    )


def clear(patterns: Iterable[str]) -> None:
    """Remove the files and folders that patterns match."""
    for path in [found for pattern in patterns for found in glob.glob(pattern)]:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def run(*command: str) -> None:
    """Run a command; what it can't do is not there."""
    subprocess.run(command, capture_output=True, check=False)
