"""Generations: sets of the app's processes under Supervisor, started and stopped as a whole."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wshost import apply_files, supervisor

CONF = Path("/etc/supervisor/conf.d")
IDENTITY = "[0-9a-f]{12}(?:-[0-9]+)?"
"""What a generation's identity looks like; nothing else is taken for one. The number counts how
often it was started anew as a whole."""


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

    def listens(self, listen: str) -> bool:
        """Tell whether its processes listen there; `listen` is as in launch.py."""
        try:
            return f" {listen} " in self.conf.read_text()
        except OSError:
            return False

    def processes(self) -> list[dict[str, Any]]:
        """Return what Supervisor knows of its processes."""
        return [p for p in supervisor.processes() if p["group"] == self.group]

    def pid(self, name: str) -> int:
        """Return the PID of a process, or 0 while it has none."""
        return next((p["pid"] for p in self.processes() if p["name"] == name), 0)

    def last_lines(self, lines: int = 15) -> str:
        """Return what its processes logged last, for whoever reads a failed run."""
        for log in sorted(self.logs.glob("*.log")):
            tail = subprocess.run(
                ("tail", "-n", str(lines), str(log)), capture_output=True, text=True, check=False
            ).stdout.strip()
            if tail:
                return f"The last lines of {log}:\n{tail}"
        return f"It logged nothing to {self.logs}."


def generations(name: str) -> Iterator[Generation]:
    """Yield the generations that Supervisor runs or has a file for."""
    found = {process["group"] for process in supervisor.processes()}
    found |= {path.stem for path in CONF.glob(f"{name}-*.conf")}
    for group in sorted(found):
        # Other programs may have names that begin like ours.
        if match := re.fullmatch(rf"{re.escape(name)}-({IDENTITY})", group):
            yield Generation(name, match[1])


def live(name: str) -> str | None:
    """Return the generation that serves, or None."""
    try:
        return os.readlink(f"/run/{name}/current")
    except OSError:
        return None


def link(path: Path, target: str) -> None:
    """Point a link to `target` in one step: there is no moment without it."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, path)


def add(new: Generation, files: list[dict[str, Any]], autostart: bool = True) -> None:
    """Let Supervisor know a generation, and start it if it should start by itself.

    files: its configuration and environment, as apply_files takes them.
    """
    new.sockets.mkdir(exist_ok=True)
    shutil.chown(new.sockets, new.name, f"{new.name}-proxy")
    # setgid: sockets belong to the folder's group, and the proxy's group alone may open them.
    new.sockets.chmod(0o2750)
    new.logs.mkdir(exist_ok=True)
    shutil.chown(new.logs, "root", "adm")
    new.logs.chmod(0o750)
    for file in files:
        apply_files.place(file if autostart else _waiting(file), Path("/"))
    supervisor.call("reloadConfig")
    with ignoring("ALREADY_ADDED"):
        supervisor.call("addProcessGroup", new.group)


def start(generation: Generation, *names: str) -> None:
    """Start processes that do not run; without names, all of a generation."""
    for process in generation.processes():
        if names and process["name"] not in names:
            continue
        if process["statename"] not in ("RUNNING", "STARTING"):
            with ignoring("ALREADY_STARTED", "SPAWN_ERROR", "ABNORMAL_TERMINATION"):
                supervisor.call("startProcess", f"{generation.group}:{process['name']}", False)


def stop(generation: Generation, name: str, stop_wait: float) -> None:
    """Stop one process, and wait until it has drained."""
    with ignoring("BAD_NAME", "NOT_RUNNING"):
        supervisor.call("stopProcess", f"{generation.group}:{name}", timeout=stop_wait + 30)


def remove(old: Generation, stop_wait: float) -> None:
    """Stop a generation, waiting until it has drained, and leave nothing of it but its logs."""
    with ignoring("BAD_NAME"):
        supervisor.call("stopProcessGroup", old.group, timeout=stop_wait + 30)
    with ignoring("BAD_NAME"):
        supervisor.call("removeProcessGroup", old.group)
    old.conf.unlink(missing_ok=True)
    old.environment.unlink(missing_ok=True)
    shutil.rmtree(old.sockets, ignore_errors=True)
    supervisor.call("reloadConfig")


@contextlib.contextmanager
def ignoring(*faults: str) -> Iterator[None]:
    """Pass over faults of Supervisor that mean that there is nothing to do."""
    try:
        yield
    except supervisor.SupervisorError as error:
        if not any(fault in str(error) for fault in faults):
            raise


def _waiting(file: dict[str, Any]) -> dict[str, Any]:
    """Return a generation's file so that its processes wait to be started one by one."""
    text = base64.b64decode(file["content"]).replace(b"autostart=true", b"autostart=false")
    return {**file, "content": base64.b64encode(text).decode()}
