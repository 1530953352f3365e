"""Bring a new generation of the app's processes into service, and let the old one go.

Start the new one beside the old one; when each of its processes passes the gate (/healthz and a
real handshake), swap the link that the proxy goes through; then stop the old one, which drains.
If the gate does not open in time, the new generation is removed and the old one was never touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wshost import apply_files, supervisor
from wshost.probe import ProbeError, Target, handshake, healthz

CONF = Path("/etc/supervisor/conf.d")
KEEP = 5
"""Releases and logs of generations that stay, for a rollback and for looking things up."""
POLL = 0.1
"""Seconds between two looks at a process that is not ready yet."""


class GateClosedError(Exception):
    """The new generation did not become healthy; the message says which process and why."""


@dataclass(frozen=True)
class Generation:
    """A generation of a service on this host."""

    name: str
    identity: str

    @property
    def group(self) -> str:
        """Supervisor's name for it."""
        return f"{self.name}-{self.identity}"

    @property
    def conf(self) -> Path:
        """Supervisor's file for it."""
        return CONF / f"{self.group}.conf"

    @property
    def environment(self) -> Path:
        """The file with its processes' environment."""
        return Path(f"/etc/{self.name}/{self.identity}.env")

    @property
    def sockets(self) -> Path:
        """The folder that its processes listen in."""
        return Path(f"/run/{self.name}/{self.identity}")

    @property
    def logs(self) -> Path:
        """The folder with its processes' logs."""
        return Path(f"/var/log/{self.name}/{self.identity}")


def main(request: dict[str, Any]) -> None:
    """Roll out what `request` describes; exit 1 with the app's last lines if it is unhealthy."""
    new = Generation(request["name"], request["generation"])
    try:
        with apply_files.exclusive(apply_files.STATE):
            roll_out(new, request)
    except GateClosedError as closed:
        sys.exit(f"{closed}\nThe new generation was removed. {_last_lines(new)}")
    except (supervisor.SupervisorError, OSError) as error:
        sys.exit(f"{new.group}: {error}")
    json.dump({"generation": new.identity}, sys.stdout)


def roll_out(new: Generation, request: dict[str, Any]) -> None:
    """Start `new`, wait for it, switch to it, and remove every other generation."""
    others = [g for g in generations(new.name) if g != new]
    start(new, request)
    try:
        wait_healthy(new, request)
    except GateClosedError:
        # A generation that serves already is left alone: half of it is better than nothing.
        if live(new.name) != new.identity:
            remove(new)
        raise
    switch(new, request)
    with ThreadPoolExecutor() as pool:
        # Each stops as a whole and drains by itself; together they take as long as the slowest.
        list(pool.map(lambda old: remove(old, request["stop_wait"]), others))
    prune(new, Path(request["releases"]))


def generations(name: str) -> Iterator[Generation]:
    """Yield the generations that Supervisor runs or has a file for."""
    found = {process["group"] for process in supervisor.processes()}
    found |= {path.stem for path in CONF.glob(f"{name}-*.conf")}
    for group in sorted(found):
        if group.startswith(f"{name}-"):
            yield Generation(name, group.removeprefix(f"{name}-"))


def live(name: str) -> str | None:
    """Return the generation that the proxy reaches, or None."""
    try:
        return os.readlink(f"/run/{name}/current")
    except OSError:
        return None


def start(new: Generation, request: dict[str, Any]) -> None:
    """Start the processes of a generation; those that run already are left alone."""
    new.sockets.mkdir(exist_ok=True)
    shutil.chown(new.sockets, new.name, f"{new.name}-proxy")
    # setgid: sockets belong to the folder's group, and the proxy's group alone may open them.
    new.sockets.chmod(0o2750)
    new.logs.mkdir(exist_ok=True)
    shutil.chown(new.logs, "root", "adm")
    new.logs.chmod(0o750)
    for file in request["files"]:
        apply_files.place(file, Path("/"))
    supervisor.call("reloadConfig")
    with _ignoring("ALREADY_ADDED"):
        supervisor.call("addProcessGroup", new.group)
    for process in _processes(new):
        if process["statename"] not in ("RUNNING", "STARTING"):
            with _ignoring("ALREADY_STARTED", "SPAWN_ERROR", "ABNORMAL_TERMINATION"):
                supervisor.call("startProcess", f"{new.group}:{process['name']}", False)


def wait_healthy(new: Generation, request: dict[str, Any]) -> None:
    """Wait until every process passes the gate. Raises GateClosedError when the time is over."""
    deadline = time.monotonic() + request["start_timeout"]
    names = [f"{new.name}_{number:02d}" for number in range(request["processes"])]
    with ThreadPoolExecutor(max_workers=min(16, len(names))) as pool:
        for failure in pool.map(lambda name: _gate(new, name, request, deadline), names):
            if failure:
                raise GateClosedError(failure)


def _gate(new: Generation, name: str, request: dict[str, Any], deadline: float) -> str | None:
    """Return None when a process is healthy, or what is wrong with it at the deadline."""
    probe = request["probe"]
    target = Target(probe["host"], probe["path"], unix=str(new.sockets / f"{name}.sock"))
    while True:
        try:
            healthz(target, timeout=5)
            handshake(target, 5, probe["send"], probe["expect"])
        except (ProbeError, OSError) as error:
            if time.monotonic() > deadline:
                return f"{name} is not healthy after {request['start_timeout']:g} s: {error}"
            time.sleep(POLL)
        else:
            return None


def switch(new: Generation, request: dict[str, Any]) -> None:
    """Let the proxy reach `new`: swap the link, now and after the next boot."""
    apply_files.place(request["boot"], Path("/"))
    _link(Path(f"/run/{new.name}/current"), new.identity)
    current, previous = Path(f"/srv/{new.name}/current"), Path(f"/srv/{new.name}/previous")
    release = f"releases/{request['release']}"
    if current.is_symlink() and os.readlink(current) != release:
        _link(previous, os.readlink(current))
    _link(current, release)


def remove(old: Generation, stop_wait: float = 10) -> None:
    """Stop a generation, waiting until it has drained, and leave nothing of it but its logs."""
    with _ignoring("BAD_NAME"):
        supervisor.call("stopProcessGroup", old.group, timeout=stop_wait + 30)
    with _ignoring("BAD_NAME"):
        supervisor.call("removeProcessGroup", old.group)
    old.conf.unlink(missing_ok=True)
    old.environment.unlink(missing_ok=True)
    shutil.rmtree(old.sockets, ignore_errors=True)
    supervisor.call("reloadConfig")


def prune(new: Generation, releases: Path) -> None:
    """Remove old releases and logs; never what is live or would be rolled back to."""
    in_use = {Path(os.path.realpath(f"/srv/{new.name}/{link}")) for link in ("current", "previous")}
    for folder, keep in ((releases, in_use), (new.logs.parent, {new.logs})):
        found = sorted(folder.glob("[!.]*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[KEEP:]:
            if path not in keep:
                shutil.rmtree(path)


def _processes(generation: Generation) -> list[dict[str, Any]]:
    return [p for p in supervisor.processes() if p["group"] == generation.group]


def _link(path: Path, target: str) -> None:
    """Point a link to `target` in one step: there is no moment without it."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, path)


@contextlib.contextmanager
def _ignoring(*faults: str) -> Iterator[None]:
    try:
        yield
    except supervisor.SupervisorError as error:
        if not any(fault in str(error) for fault in faults):
            raise


def _last_lines(generation: Generation, lines: int = 15) -> str:
    """Return what the app said last, for whoever reads the failed run."""
    texts = []
    for log in sorted(generation.logs.glob("*.log")):
        tail = subprocess.run(
            ("tail", "-n", str(lines), str(log)), capture_output=True, text=True, check=False
        ).stdout.strip()
        if tail:
            return f"The last lines of {log}:\n{tail}"
        texts.append(str(log))
    return "It wrote nothing to its logs."


if __name__ == "__main__":
    main(json.load(sys.stdin))
