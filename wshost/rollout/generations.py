"""Generations: sets of the app's processes under Supervisor, started and stopped as a whole."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import atomic, storage, supervisor
from wshost.common.listen import Listen
from wshost.rollout import belongings, description, launch

if TYPE_CHECKING:
    from wshost.requests import Description, Processes, Supervised

LOG_TAIL = 16_384
"""Bytes of Supervisor's log to look through for how a process ended."""


LEFT_MOST = 1_000_000_000
"""Bytes that something in a working directory may take to be kept, and at most half of the room:
the app must not be able to fill root's disk."""


LINE_MOST = 500
"""Characters of a line that are shown."""


@dataclass(frozen=True)
class Generation:
    """A generation of a service on this host."""

    name: str
    id: str

    @property
    def group(self) -> str:
        """Supervisor's name for it."""
        return f"{self.name}-{self.id}"

    @property
    def conf(self) -> Path:
        """Supervisor's file for it."""
        return description.CONF / f"{self.group}.conf"

    @property
    def environment(self) -> Path:
        """The file with its processes' environment."""
        return Path(f"/etc/{self.name}/{self.id}.env")

    @property
    def sockets(self) -> Path:
        """The folder that its processes listen in."""
        return Path(f"/run/{self.name}/{self.id}")

    @property
    def logs(self) -> Path:
        """The folder with its processes' logs."""
        return Path(f"/var/log/{self.name}/{self.id}")

    def described(self) -> Description | None:
        """Return what it is, by its files; None if that can't be read."""
        return description.read(self.conf, self.group)

    def listens(self, listen: Listen) -> bool:
        """Tell whether its processes listen there."""
        found = self.described()
        return found is not None and Listen.read(found["listen"]) == listen

    def processes(self) -> list[Supervised]:
        """Return what Supervisor knows of its processes."""
        return [p for p in supervisor.processes() if p["group"] == self.group]

    def pid(self, name: str) -> int:
        """Return the PID of a process, or 0 while it has none."""
        return next((p["pid"] for p in self.processes() if p["name"] == name), 0)

    def starts(self, name: str) -> int:
        """Return how often a process was started."""
        return launch.starts(self.sockets / f"{launch.STARTS}{name}")[0]

    def last_end(self, name: str) -> str:
        """Return how a process ended last, in Supervisor's words, or that it does not say."""
        with contextlib.suppress(supervisor.SupervisorError):
            log = str(supervisor.call("readLog", -LOG_TAIL, 0))
            found = re.findall(rf"exited: {re.escape(name)} \(([^;)]*)", log)
            if found:
                return str(found[-1])
        return "Supervisor does not say how"

    def lost(self, listen: Listen) -> bool:
        """Tell whether a process runs that nobody reaches any more: its socket's name is gone."""
        return listen.unix and any(
            process["statename"] == "RUNNING" and not Path(listen.socket(process["name"])).exists()
            for process in self.processes()
        )

    def last_lines(self, lines: int = 15) -> str:
        """Return what its processes logged last, for whoever reads a failed run."""
        for log in sorted(self.logs.glob("*.log")):
            tail = subprocess.run(
                ("tail", "-n", str(lines), str(log)), capture_output=True, check=False
            ).stdout
            if text := readable(tail):
                return f"The last lines of {log}:\n{text}"
        return f"It logged nothing to {self.logs}."


def readable(text: bytes) -> str:
    """Return what a program has printed so that it can be shown to people.

    Nothing in it can move a terminal's cursor, and no line is longer than some screens take.
    """
    lines = []
    for line in text.decode(errors="replace").strip().splitlines():
        shown = "".join(
            each if each.isprintable() or each == "\t" else repr(each)[1:-1] for each in line
        )
        cut = f" … ({len(shown):,} characters)" if len(shown) > LINE_MOST else ""
        lines.append(shown[:LINE_MOST] + cut)
    return "\n".join(lines)


def generations(name: str) -> Iterator[Generation]:
    """Yield the generations that Supervisor runs or has a file for."""
    found = {process["group"] for process in supervisor.processes()}
    found |= {path.stem for path in description.CONF.glob(f"{name}-*.conf")}
    for group in sorted(found):
        # Other programs may have names that begin like ours.
        if match := re.fullmatch(rf"{re.escape(name)}-({description.GENERATION_ID})", group):
            yield Generation(name, match[1])


def descriptions(name: str) -> list[Path]:
    """Return the files that describe generations, whether or not Supervisor has one for them."""
    ours = re.compile(rf"{re.escape(name)}-{description.GENERATION_ID}")
    return [path for path in description.CONF.glob(f"{name}-*.json") if ours.fullmatch(path.stem)]


def free_id(name: str, generation_id: str) -> str:
    """Return the next ID for a generation that is started anew, one that is not there."""
    present = {each.id for each in generations(name)}
    while generation_id in present:
        generation_id = next_id(generation_id)
    return generation_id


def of(request: Processes) -> Generation:
    """Return the generation that a request is about."""
    return Generation(request["name"], request["generation"])


def listens_at(request: Processes) -> Listen:
    """Return where the processes of a request's generation listen."""
    return Listen.read(description.fill(request["description"]["listen"], request["generation"]))


def next_id(generation_id: str) -> str:
    """Return what a generation is called when it is started anew.

    >>> next_id("0123456789ab"), next_id("0123456789ab-9")
    ('0123456789ab-1', '0123456789ab-10')
    """
    digest, _, serial = generation_id.partition("-")
    return f"{digest}-{int(serial or 0) + 1}"


def live(name: str) -> str | None:
    """Return the generation that serves, or None."""
    try:
        return os.readlink(f"/run/{name}/current")
    except OSError:
        return None


def add(
    new: Generation, request: Processes, listen: Listen | None = None, autostart: bool = True
) -> None:
    """Let Supervisor know a generation, and start it if it should start by itself.

    listen: where its processes listen, if not where the request says.
    """
    new.sockets.mkdir(exist_ok=True)
    shutil.chown(new.sockets, new.name, f"{new.name}-proxy")
    # setgid: sockets belong to the folder's group, and the proxy's group alone may open them.
    new.sockets.chmod(0o2750)
    # Supervisor reads no file at all if a log's folder is gone, whichever generation's it is.
    for each in (new, *generations(new.name)):
        each.logs.mkdir(parents=True, exist_ok=True)
        shutil.chown(each.logs, "root", "adm")
        each.logs.chmod(0o750)
    fresh = not new.conf.exists()
    write(new, request, listen, autostart)
    try:
        supervisor.call("reloadConfig")
        with ignoring("ALREADY_ADDED"):
            supervisor.call("addProcessGroup", new.group)
    except supervisor.SupervisorError:
        if fresh:
            # Whoever fixes what is wrong there would start what no gate has seen.
            unlink(new)
        raise


def write(
    new: Generation, request: Processes, listen: Listen | None = None, autostart: bool = True
) -> None:
    """Write the files of a generation, the one that Supervisor reads last; see `add`."""
    generation_id, where = new.id, str(listen or listens_at(request))
    shown = atomic.owners("root", "root")
    private = atomic.owners("root", new.name)
    atomic.write(new.environment, request["environment"], 0o640, private)
    text = description.text(request["description"], generation_id, where)
    atomic.write(description.path(new.conf), text, 0o644, shown)
    text = description.fill(request["program"], generation_id, where, autostart)
    atomic.write(new.conf, text, 0o644, shown)


def unlink(old: Generation) -> None:
    """Remove the files of a generation."""
    for path in (old.conf, description.path(old.conf), old.environment):
        path.unlink(missing_ok=True)


def start(generation: Generation, *names: str) -> None:
    """Start processes that do not run; without names, all of a generation."""
    for process in generation.processes():
        if names and process["name"] not in names:
            continue
        if process["statename"] not in ("RUNNING", "STARTING"):
            with ignoring("ALREADY_STARTED", "SPAWN_ERROR", "ABNORMAL_TERMINATION"):
                supervisor.call("startProcess", f"{generation.group}:{process['name']}", False)


def stop(generation: Generation, name: str, stop_wait: float) -> None:
    """Stop one process, and wait until it has drained, and all that it has started has ended."""
    deadline = time.monotonic() + stop_wait
    held = belongings.Belongings(generation.group, [generation.pid(name)], name)
    with ignoring("BAD_NAME", "NOT_RUNNING"):
        supervisor.call("stopProcess", f"{generation.group}:{name}", timeout=stop_wait + 30)
    held.end(deadline)


def remove(old: Generation, stop_wait: float) -> None:
    """Stop a generation, waiting until it has drained, and leave nothing of it but its logs.

    What its processes have started ends with them: it has as long for its drain as they have.
    """
    deadline = time.monotonic() + stop_wait
    held = belongings.Belongings(old.group, [p.get("pid", 0) for p in old.processes()])
    with ignoring("BAD_NAME"):
        supervisor.call("stopProcessGroup", old.group, timeout=stop_wait + 30)
    _forget(old.group, deadline)
    held.end(deadline)
    unlink(old)
    clear(old)
    supervisor.call("reloadConfig")


def _forget(group: str, deadline: float) -> None:
    """Let Supervisor forget a group, once its processes have stopped.

    They may be stopping already, for a run that was killed; then nobody has waited for them.
    """
    while True:
        try:
            with ignoring("BAD_NAME"):
                supervisor.call("removeProcessGroup", group)
        except supervisor.SupervisorError as error:
            if "STILL_RUNNING" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def clear(old: Generation) -> None:
    """Remove a generation's working directory; files that the app has left there are kept.

    For root alone: they were the app's to write, and nothing there can be trusted, least of all
    links. What is no file and no folder, or can't be copied, goes with the directory.
    """
    left = [path for path in _entries(old.sockets) if not _ours(path)]
    if left:
        kept = storage.STATE / "services" / old.name / "left" / old.id
        number = 1
        while kept.exists():
            number += 1
            kept = kept.with_name(f"{old.id}.{number}")
        kept.mkdir(mode=0o700, parents=True)
        too_large = [path.name for path in left if not _copied(path, kept)]
        if too_large:
            text = "".join(f"{name!r}\n" for name in too_large)
            (kept / "not-kept").write_text(f"There was no room for:\n{text}")
    # However deep its folders are.
    subprocess.run(("rm", "-rf", "--one-file-system", "--", str(old.sockets)), check=False)


def _copied(path: Path, folder: Path) -> bool:
    """Copy what an app has left, with its holes, if there is room. Returns whether there was."""
    listing = subprocess.run(
        ("du", "--summarize", "--block-size=1", "--", str(path)),
        capture_output=True, text=True, errors="replace", check=False,
    ).stdout  # fmt: skip
    size = int(listing.split()[0]) if listing.strip() else 0
    room = min(LEFT_MOST, shutil.disk_usage(folder).free // 2)
    if size > room:
        return False
    command = ("cp", "--archive", "--sparse=always", "--", str(path), str(folder))
    subprocess.run(command, capture_output=True, check=False)
    return True


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _ours(path: Path) -> bool:
    """Tell whether something in a working directory is no file or folder of the app's."""
    kind = path.lstat().st_mode
    return (
        not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
        or path.name.startswith(launch.STARTS)
        or path.name.startswith(launch.MOVE)
    )


@contextlib.contextmanager
def ignoring(*faults: str) -> Iterator[None]:
    """Pass over faults of Supervisor that mean that there is nothing to do."""
    try:
        yield
    except supervisor.SupervisorError as error:
        if not any(fault in str(error) for fault in faults):
            raise
