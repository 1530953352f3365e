"""What this machine needs in order to run hosts, and installing what Debian has packages for."""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from wsdeploy_sandbox import cgroups, state
from wsdeploy_sandbox.command import succeeds
from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.mounts import filesystem_of, mounts

PROGRAMS = {
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemctl": "systemd",
    "systemd-nspawn": "systemd-container",
}
KEYRING_PACKAGE = "debian-archive-keyring"
KEYRINGS = Path("/usr/share/keyrings")
POLICY = Path("/usr/sbin/policy-rc.d")


def require_root() -> None:
    """Raise SandboxError unless this process could have to do with hosts at all."""
    if platform.system() != "Linux":
        raise SandboxError(f"the sandbox needs Linux, and this is {platform.system()}")
    if os.geteuid() != 0:
        raise SandboxError("the sandbox needs root: run the same command with sudo")


def ensure() -> None:
    """Install what is missing, or raise SandboxError with everything that can't be had."""
    obstacles = missing_abilities()
    if obstacles:
        raise SandboxError(f"this machine can't run the sandbox: {'; '.join(obstacles)}")
    packages = missing_packages()
    if packages:
        install(packages)
    still = missing_packages()
    if still:
        raise SandboxError(f"still missing after installing: {' '.join(still)}")


def missing_abilities() -> list[str]:
    """Return, one by one, what no package can bring."""
    obstacles = []
    filesystems = Path("/proc/filesystems").read_text().split()
    if "overlay" not in filesystems and not succeeds(["modprobe", "overlay"]):
        obstacles.append("its kernel has no overlayfs")
    mounted = mounts()
    root = cgroups.unified_root(mounted)
    if root is None:
        obstacles.append("it has no control groups of version 2 mounted (cgroup2)")
    elif not os.access(root, os.W_OK):
        obstacles.append(f"{root} is read-only, as in an unprivileged container")
    if not Path("/proc/sys/net/ipv6").is_dir():
        obstacles.append("its kernel has IPv6 switched off")
    if filesystem_of(state.STATE, mounted) == "overlay":
        obstacles.append(f"{state.STATE} is on an overlay, which can't carry another one")
    return obstacles


def missing_packages() -> list[str]:
    """Return the packages to install, sorted."""
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if not has_keys(file.name for file in KEYRINGS.glob("debian-archive-*")):
        missing.add(KEYRING_PACKAGE)
    return sorted(missing)


def has_keys(files: Iterable[str]) -> bool:
    """Tell from the names of its files whether the keyring knows the newest suite."""
    return any(re.fullmatch(r"debian-archive-trixie-stable\.(gpg|pgp|asc)", name) for name in files)


def install(packages: list[str]) -> None:
    """Install Debian packages on this machine. Raises SandboxError if that can't be done."""
    command = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise SandboxError(
            f"install {' '.join(packages)} (as Debian calls them) with this machine's own "
            "package manager"
        )
    print(f"installing {' '.join(packages)}", file=sys.stderr, flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        for words in ("apt-get -qq update", f"apt-get -qq -y {command.removeprefix('apt-get ')}"):
            done = subprocess.run(
                words.split(), env=environment, capture_output=True, text=True, check=False
            )
            # Updating fails when any one of the sources does; those we need may have been read.
            if done.returncode != 0 and "install" in words:
                said = (done.stderr.strip() or "no message").splitlines()[-1]
                raise SandboxError(f"`{command}` failed: {said}")


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting services on this machine while they are installed."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\n# wsdeploy sandbox, while it installs packages\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
