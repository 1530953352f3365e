"""One host: its tree, and starting and ending it."""

import contextlib
import dataclasses
import os
import shutil
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

from wsdeploy_sandbox import cgroups, guest, keeper, network, ssh
from wsdeploy_sandbox.command import run
from wsdeploy_sandbox.control_hosts import replace
from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.mounts import filesystem_of, mounts, unmount_below
from wsdeploy_sandbox.state import Record, remember

NSPAWN_RUN = Path("/run/systemd/nspawn")
MOUNT_SOURCE = "wsdeploy-sandbox"
"""Tells our mounts from those of others."""

ADMIN_UID = 1000


def nspawn_command(record: Record) -> list[str]:
    """Return the command that boots a host and runs until it is powered off."""
    return [
        "systemd-nspawn",
        # Neither systemd nor machined need run this machine; its keeper knows the host.
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--boot",
        f"--machine=wsd-{record.name}",
        f"--hostname={record.name}",
        f"--directory={record.root}",
        f"--network-bridge={network.BRIDGE}",
        # A terminal that nobody types on: systemd only shows its progress to terminals.
        "--console=read-only",
        # These would overwrite what the host was given, or write to this machine.
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
    ]


NSPAWN_ENVIRONMENT = {
    # Debian 13 doesn't boot on control groups of version 1, which may be mounted here beside 2.
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TERM": "dumb",
}


def is_running(name: str) -> bool:
    """Tell whether a host runs, or is about to come back from a reboot."""
    return bool(_keeper(name))


def is_ready(record: Record) -> bool:
    """Tell whether a host runs and was seen to have booted since it was started."""
    keeper = _keeper(record.name)
    return bool(keeper) and record.ready.exists() and record.ready.read_text() == keeper


def mark_ready(record: Record) -> None:
    """Remember that a host has booted completely."""
    record.ready.write_text(_keeper(record.name))


def _keeper(name: str) -> str:
    """Return the process id of a host's keeper, or nothing if it has none."""
    with contextlib.suppress(FileNotFoundError):
        return (cgroups.group(name) / cgroups.KEEPER / "cgroup.procs").read_text().strip()
    return ""


def create(record: Record, authorized_key: str) -> Record:
    """Make a host's tree with its own identity, and return its record with its SSH key."""
    record.directory.mkdir(mode=0o700, parents=True)
    for part in ("upper", "work", "root"):
        (record.directory / part).mkdir()
    # The tree's root takes over the upper layer's mode: all users of the host must get in.
    (record.directory / "upper").chmod(0o755)
    mount(record)
    root = record.root
    (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    (root / "etc/hostname").write_text(f"{record.name}\n")
    (root / "etc/hosts").write_text(guest.LOCALHOST)
    public = ssh.make_host_key(root / "etc/ssh/ssh_host_ed25519_key")
    for home, uid in (("root", 0), ("home/admin", ADMIN_UID)):
        folder = root / home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "authorized_keys").write_text(f"{authorized_key}\n")
        for path in (folder, folder / "authorized_keys"):
            os.chown(path, uid, uid)
    made = dataclasses.replace(record, host_key=public)
    remember(made)
    return made


def mount(record: Record) -> None:
    """Mount a host's tree, unless it is mounted."""
    if any(mount.point == record.root for mount in mounts()):
        return
    lower = [tree for tree in (record.layer, record.base) if tree]
    for tree in lower:
        if not Path(tree).is_dir():
            raise SandboxError(
                f"{record.name} can't be started, because {tree}, which it lies on, has been "
                f"deleted: `sandbox down {record.name}`, and then up again"
            )
    # Made after a crash or left by the last mount: overlayfs refuses to mount while it is there.
    shutil.rmtree(record.directory / "work" / "work" / "incompat", ignore_errors=True)
    layers = (
        f"lowerdir={':'.join(lower)},upperdir={record.directory}/upper,"
        # Nothing here outlives a crash of this machine, so nothing waits for the disk.
        f"workdir={record.directory}/work,volatile"
    )
    run("mount", "-t", "overlay", MOUNT_SOURCE, "-o", layers, str(record.root))


def write_files(record: Record, files: Mapping[str, str]) -> None:
    """Write files into a host's tree, which must be mounted; the host may be running."""
    for path, text in files.items():
        replace(record.root / path, text)


def start(record: Record) -> None:
    """Start a host's keeper, which boots the host. Returns before the host is ready."""
    record.ready.unlink(missing_ok=True)
    prepare_nspawn_run()
    group = cgroups.create(record.name)
    run(
        "env",
        "-i",
        *(f"{name}={value}" for name, value in NSPAWN_ENVIRONMENT.items()),
        *(sys.executable, "-I", "-S", keeper.__file__, str(group), str(record.console)),
        *nspawn_command(record),
    )


def kill(name: str) -> None:
    """End a host as if its power had failed."""
    cgroups.end(name)
    network.remove_link(f"vb-wsd-{name}")
    for left in NSPAWN_RUN.glob(f"*/wsd-{name}"):
        delete(left)


def delete(directory: Path) -> None:
    """Delete a folder of a host that doesn't run any more, with all that is in it."""
    unmount_below(directory)
    if directory.exists():
        shutil.rmtree(directory)


def console_end(record: Record, lines: int = 15) -> str:
    """Return the last lines of a host's console."""
    with contextlib.suppress(FileNotFoundError):
        text = record.console.read_text(errors="replace")
        said = [line.rstrip() for line in text.splitlines() if line.strip()]
        return "\n".join(f"  {line}" for line in said[-lines:])
    return "  (its console said nothing)"


def prepare_nspawn_run() -> None:
    """Mount a tmpfs where nspawn keeps its sockets, unless one is there as with systemd.

    Where /run is on disk, what a host leaves there at its first boot keeps it from rebooting.
    """
    if filesystem_of(NSPAWN_RUN, mounts()) != "tmpfs":
        NSPAWN_RUN.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=755", MOUNT_SOURCE, str(NSPAWN_RUN))


def release_nspawn_run() -> None:
    """Unmount the tmpfs again if it is ours."""
    if any(m.point == NSPAWN_RUN and m.source == MOUNT_SOURCE for m in mounts()):
        unmount_below(NSPAWN_RUN)
