"""Take a service off this host: its processes in turn, then its units, files and users.

What was there before the service came back is put back.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import atomic, lock, storage, supervisor
from wshost.config import apply_files
from wshost.rollout import description, generations

if TYPE_CHECKING:
    from wshost.requests import Remove

PACKAGED = ("/etc/nginx/nginx.conf", "/etc/haproxy/haproxy.cfg")
"""Files that a package has lost if they are removed."""


def main(request: Remove) -> None:
    """Remove the service that `request` names; exit 1 with the reason if that can't be done."""
    name = request["name"]
    try:
        with storage.exclusive(storage.STATE):
            removed = remove(request)
    except (supervisor.SupervisorError, OSError) as error:
        sys.exit(f"{name}: {error}")
    clear_state(name)
    json.dump({"removed": removed}, sys.stdout)


def remove(request: Remove) -> list[str]:
    """Remove it, and return the files that it had."""
    name, data = request["name"], request["data"]
    # First the app: its close frames go through the proxy.
    if list(description.CONF.glob(f"{name}-*.conf")):
        mine = [*generations.generations(name)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: generations.remove(each, request["stop_wait"]), mine))
    for file in generations.descriptions(name):
        file.unlink()
    # Before their files go, which say how they stop.
    for unit in request["units"]:
        disable(unit)
    run("nft", "delete", "table", "inet", name)
    paths = sorted({path for marker in markers(name) for path in marked(marker)})
    for path in paths:
        put_back(path)
    run("systemctl", "daemon-reload")
    for unit in request["debian_units"]:
        if any(f"/{unit}.d/" in path for path in paths):
            give_back(unit)
    folders = [f"{parent}/{name}" for parent in ("/etc", "/srv", "/run", "/var/log")]
    clear([*folders, *([f"/var/lib/{name}"] if data else [])])
    clear([found for pattern in request["leaves"] for found in glob.glob(pattern)])
    for folder in {os.path.dirname(path) for path in paths}:
        # Drop-ins of Debian's units.
        if folder.startswith("/etc/systemd/system/"):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    run("systemctl", "daemon-reload")
    if data or not os.path.exists(f"/var/lib/{name}"):
        run("userdel", name)
    else:
        # Its number would become somebody else's, and the data with it.
        kept = storage.STATE / "kept"
        kept.mkdir(mode=0o700, exist_ok=True)
        (kept / name).touch()
    run("groupdel", f"{name}-proxy")
    return paths


def give_back(unit: str) -> None:
    """Let a unit of Debian's do what it did before the service came."""
    before = lock.ran_before()
    if before is None:
        # Nobody has noted it. Other people's programs under Supervisor go on.
        if unit != "supervisor.service" or not supervised():
            disable(unit)
    elif unit in before:
        # With the configuration, and in the sandbox, that it had then.
        run("systemctl", "restart", unit)
    else:
        disable(unit)


def supervised() -> bool:
    """Tell whether Supervisor has programs."""
    with contextlib.suppress(supervisor.SupervisorError):
        return bool(supervisor.processes())
    return False


def put_back(path: str) -> None:
    """Remove a file, or put back what was there before any service came."""
    before = storage.STATE / "before" / path.lstrip("/")
    if before.is_file() or before.is_symlink():
        atomic.copy(before, Path(path))
    elif path not in PACKAGED:
        Path(path).unlink(missing_ok=True)


def clear(paths: list[str]) -> None:
    """Remove files, and folders with all that is in them."""
    for path in paths:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)


def markers(name: str) -> list[Path]:
    """Return the markers of the sets of files of a service."""
    sets = storage.STATE / "sets"
    others = [path.name.removesuffix("-system.json") for path in sets.glob("*-system.json")]
    # A service can have a name that begins like this one's.
    longer = tuple(f"{each}-" for each in others if each.startswith(f"{name}-"))
    return sorted(path for path in sets.glob(f"{name}-*.json") if not path.name.startswith(longer))


def marked(marker: Path) -> list[str]:
    """Return the paths that a set has."""
    return [str(path) for path in apply_files.read(marker).get("paths", ())]


def disable(unit: str) -> None:
    """Stop a unit, now and after a boot, if there is one."""
    run("systemctl", "disable", "--quiet", "--now", unit)


def run(*command: str) -> None:
    """Run a command; what is gone already needs no removal."""
    subprocess.run(command, capture_output=True, check=False)


def clear_state(name: str) -> None:
    """Forget the service; if it was the last one, nothing of this project is left on disk."""
    state = storage.STATE
    for marker in markers(name):
        shutil.rmtree(state / "previous" / marker.stem, ignore_errors=True)
        marker.unlink()
    shutil.rmtree(state / "services" / name, ignore_errors=True)
    if not [*(state / "sets").glob("*.json"), *(state / "kept").glob("*")]:
        shutil.rmtree(state, ignore_errors=True)
