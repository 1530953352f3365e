"""A control group per host: the one place where all processes of a host are found and ended.

A process can't leave its group by forking or by losing its parent, so a host is ended whole even
if the process that started it was killed. The groups are made beside those of a systemd that may
run this machine; systemd leaves groups alone that it didn't make.
"""

import contextlib
import os
import time
from pathlib import Path

from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.mounts import Mount, mounts

GROUP = "wsdeploy-sandbox"
KEEPER = "keeper"
MACHINE = "machine"
CONTROLLERS = ("cpu", "memory", "pids", "io")


def unified_root(among: list[Mount]) -> Path | None:
    """Return where control groups of version 2 are mounted (perhaps beside version 1)."""
    return next((mount.point for mount in among if mount.kind == "cgroup2"), None)


def group(name: str = "") -> Path:
    """Return the directory of a host's group, or of all groups.

    Raises SandboxError if this machine has no control groups of version 2.
    """
    root = unified_root(mounts())
    if root is None:
        raise SandboxError(
            "no control groups of version 2 are mounted: `mount -t cgroup2 cgroup2 /sys/fs/cgroup`"
        )
    return root / GROUP / name


def create(name: str) -> Path:
    """Make the group of a host, with one group for its keeper and one for the host itself.

    Apart, because a group that hands controllers on to its children can't hold processes itself.
    """
    path = group(name)
    for parent in (path.parent, path):
        parent.mkdir(exist_ok=True)
        for controller in CONTROLLERS:
            # Those that version 1 has taken are not to be had, and a host runs without them.
            with contextlib.suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    (path / KEEPER).mkdir(exist_ok=True)
    (path / MACHINE).mkdir(exist_ok=True)
    return path


def make_idle(name: str) -> None:
    """Let a host's processes run only when no other host wants a processor.

    Where version 1 has the controller, as on older systems, that goes for everything else on
    this machine, too, and it ends when the host reboots.
    Raises SandboxError if the kernel can't: that takes Linux 5.15.
    """
    path = group(name)
    legacy = next(
        (it for it in mounts() if it.kind == "cgroup" and "cpu" in it.options.split(",")), None
    )
    if legacy is not None:
        # It needs groups of its own, which end() removes. Only such hosts are in them, so the one
        # around them has to give way, too.
        own = legacy.point / GROUP / name
        own.mkdir(parents=True, exist_ok=True)
        _give_way(own.parent)
        moved: set[str] = set()
        # Those that are started meanwhile by one that has not been moved are found the next time.
        while left := _pids(path / MACHINE) - moved:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    (own / "cgroup.procs").write_text(pid)
            moved |= left
        path = own
    _give_way(path)


def _pids(path: Path) -> set[str]:
    return {pid for procs in path.rglob("cgroup.procs") for pid in procs.read_text().split()}


def _give_way(path: Path) -> None:
    try:
        (path / "cpu.idle").write_text("1")
    except OSError as error:
        raise SandboxError(
            f"a control group can't give way: {path / 'cpu.idle'}: {error}"
        ) from error


def names() -> list[str]:
    """Return the names of all groups there are."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in group().iterdir() if entry.is_dir())
    return []


def has_processes(path: Path) -> bool:
    """Tell whether a process lives in a group or in one below it."""
    try:
        return "populated 1" in (path / "cgroup.events").read_text()
    except FileNotFoundError:
        return False


def end(name: str, timeout: float = 10.0) -> None:
    """Kill every process of a group at once, and remove the group.

    Raises SandboxError if processes are left after `timeout` seconds.
    """
    path = group(name)
    if path.exists():
        deadline = time.monotonic() + timeout
        while has_processes(path):
            _kill(path)
            if time.monotonic() > deadline:
                raise SandboxError(f"processes of {name} can't be ended; see {path}/cgroup.procs")
            time.sleep(0.01)
    # Where control groups of version 1 are mounted too, nspawn made the same path in systemd's.
    for mount in mounts():
        if mount.kind in ("cgroup", "cgroup2"):
            _remove(mount.point / GROUP / name)
            with contextlib.suppress(OSError):
                (mount.point / GROUP).rmdir()


def _kill(path: Path) -> None:
    try:
        (path / "cgroup.kill").write_text("1")
    except OSError:  # before Linux 5.14
        for pid in _pids(path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)


def _remove(path: Path) -> None:
    for directory, _, _ in os.walk(path, topdown=False):
        # The kernel may need a moment after the last process has gone.
        for _attempt in range(100):
            try:
                Path(directory).rmdir()
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.01)
            else:
                break
