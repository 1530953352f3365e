"""The trees that hosts start from: a bare Debian, and layers of packages on it, built once each."""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wsdeploy_sandbox import cgroups
from wsdeploy_sandbox.command import run
from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.mounts import unmount_below

# What a minimal server has when the installer has finished, and sudo. What a service needs is
# for the deploy to install: a package here would hide that the deploy forgot it.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iputils-ping",
    "libpam-systemd",
    "netbase",
    "openssh-server",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
)

CUSTOMIZE = r"""set -eu
root=$1
chroot "$root" useradd --create-home --shell /bin/bash admin
printf 'admin ALL=(ALL) NOPASSWD: ALL\n' > "$root/etc/sudoers.d/admin"
chmod 0440 "$root/etc/sudoers.d/admin"
# Test tools open many connections at once, and many sessions in each.
cat > "$root/etc/ssh/sshd_config.d/sandbox.conf" <<'EOF'
PasswordAuthentication no
UseDNS no
MaxStartups 1000
MaxSessions 1000
EOF
# Every host gets its own.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/etc/machine-id"
rm -f "$root/etc/resolv.conf" "$root/etc/apt/apt.conf.d/99mmdebstrap"
# Throwaway: a crash in the middle of an installation costs nothing, waiting for the disk does.
echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/sandbox"
systemctl --root="$root" enable systemd-networkd.service
# They would take apt's lock some minutes after boot, in the middle of somebody's test.
systemctl --root="$root" mask apt-daily.timer apt-daily-upgrade.timer
if ls "$root"/usr/local/share/ca-certificates/*.crt > /dev/null 2>&1; then
    chroot "$root" update-ca-certificates > /dev/null
fi
"""

# What a layer's packages are installed with. Nothing is started meanwhile; the lists stay, so that
# what else a test installs needs no new ones.
INSTALL = r"""set -eu
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get -q -o Acquire::Languages=none update
apt-get -q -y --no-install-recommends install "$@"
apt-get -q clean
rm /usr/sbin/policy-rc.d
"""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
EXTRA_CERTIFICATES = Path("/usr/local/share/ca-certificates")
LOG_LINES_SHOWN = 12
"""How much of the log is shown when building fails."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a base is."""

    suite: str
    sources: tuple[str, ...]
    certificates: tuple[tuple[str, str], ...] = ()
    """Names and texts of the certificate authorities that this machine trusts in addition."""
    packages: tuple[str, ...] = PACKAGES
    customize: str = CUSTOMIZE
    architecture: str = platform.machine()

    @property
    def name(self) -> str:
        """Suite and hash: another recipe, another base."""
        parts = [self.suite, self.sources, self.certificates, self.packages, self.customize]
        text = json.dumps([*parts, self.architecture])
        return f"{self.suite}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Layer:
    """Debian packages that hosts have from the start, as if they had been installed before."""

    packages: tuple[str, ...]
    disabled: tuple[str, ...] = ()
    """Units that are not enabled, so that the packages' own services don't run: a proxy's, say."""

    def name(self, base: str) -> str:
        """Name of the layer on a base: other packages, another layer."""
        text = json.dumps([self.packages, self.disabled, INSTALL])
        return f"{base}+{hashlib.sha256(text.encode()).hexdigest()[:12]}"


DEFAULT_MIRRORS = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")


def sources(suite: str, mirrors: tuple[str, str] = DEFAULT_MIRRORS) -> tuple[str, ...]:
    """Return the lines of a sources.list: the suite, its updates and its security updates."""
    mirror, security = mirrors
    signed = f"[signed-by={KEYRING}]"
    return (
        f"deb {signed} {mirror} {suite} main",
        f"deb {signed} {mirror} {suite}-updates main",
        f"deb {signed} {security} {suite}-security main",
    )


def mirrors_in(apt_sources: str) -> tuple[str, str]:
    """Return the Debian mirror and the security mirror that apt sources of any spelling name."""
    addresses = re.findall(r"\bhttps?://\S+", re.sub(r"(?m)#.*", "", apt_sources))
    plain = [address.rstrip("/") for address in addresses]
    mirror = next((a for a in plain if a.endswith("/debian")), DEFAULT_MIRRORS[0])
    security = next((a for a in plain if a.endswith("/debian-security")), DEFAULT_MIRRORS[1])
    return mirror, security


def stage(line: str) -> str | None:
    """Return what mmdebstrap is at, if a line of its log says so."""
    if line.startswith("I: ") and line.rstrip().endswith("..."):
        return line[3:].rstrip().rstrip(".")
    return None


# ---- this machine ----


def cache() -> Path:
    """Return the folder that bases are kept in."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "wsdeploy" / "sandbox" / "base"


def recipe(suite: str) -> Recipe:
    """Return how to build a suite's base on this machine."""
    texts = []
    for folder, pattern in (("/etc/apt", "sources.list"), ("/etc/apt/sources.list.d", "*")):
        for file in sorted(Path(folder).glob(pattern)):
            if file.suffix in (".list", ".sources"):
                texts.append(file.read_text())
    extra = sorted(EXTRA_CERTIFICATES.glob("*.crt"))
    return Recipe(
        suite=suite,
        sources=sources(suite, mirrors_in("\n".join(texts))),
        certificates=tuple((file.name, file.read_text()) for file in extra),
    )


def ensure(suite: str, apt_options: Iterable[str], in_use: Collection[str]) -> Path:
    """Return the base of a suite, after building it if there is none yet for its recipe.

    `in_use` are the paths of bases that hosts lie on: others of the suite are removed when a new
    one has been built. The caller holds the lock. Raises SandboxError, with the end of the log,
    if building fails.
    """
    wanted = recipe(suite)
    base = cache() / wanted.name
    if not base.is_dir():
        building = base.with_name(f"{base.name}.building")
        discard(building)
        _build(wanted, building, apt_options)
        building.rename(base)
        for other in cache().glob(f"{suite}-*"):
            if other != base and str(other) not in in_use:
                discard(other)
    return base


LAYER_AGE = 7 * 86_400.0
"""Seconds after which a layer is built anew: Debian's packages change, and its lists with them."""


def ensure_layer(
    base: Path, layer: Layer, files: Mapping[str, str], in_use: Collection[str]
) -> Path:
    """Return the tree of a layer, after building it if there is none yet on this base.

    `files` are written into the tree while packages are installed, by path: apt's settings.
    `in_use` are the paths of trees that hosts lie on; others that are as old are removed. The
    caller holds the lock. Raises SandboxError, with the end of the log, if building fails.
    """
    tree = base.with_name(layer.name(base.name))
    for other in cache().glob("*+*"):
        if str(other) not in in_use and time.time() - other.stat().st_mtime > LAYER_AGE:
            discard(other)
    if not tree.is_dir():
        building = tree.with_name(f"{tree.name}.building")
        discard(building)
        for part in ("upper", "work", "root"):
            (building / part).mkdir(parents=True)
        (building / "upper").chmod(0o755)
        try:
            _install(base, layer, building, files)
            os.utime(building / "upper")
            # The mount was one that does not wait for the disk, and the tree is to be kept.
            os.sync()
            (building / "upper").rename(tree)
        finally:
            discard(building)
    return tree


def _install(base: Path, layer: Layer, building: Path, files: Mapping[str, str]) -> None:
    root = building / "root"
    parts = f"lowerdir={base},upperdir={building}/upper,workdir={building}/work,volatile"
    run("mount", "-t", "overlay", "wsdeploy-sandbox", "-o", parts, str(root))
    for path, text in files.items():
        (root / path).write_text(text)
    log = building.parent / f"{base.name.partition('-')[0]}.layer.log"
    print(f"installing {' '.join(layer.packages)} (once; log: {log})", file=sys.stderr, flush=True)
    # This machine's network, and nothing else of it.
    command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--settings=no"]
    command += ["--pipe", "--as-pid2", "--resolv-conf=copy-host", "--timezone=off"]
    command += ["--link-journal=no", f"--directory={root}", "--", "sh", "-c", INSTALL, "sh"]
    command += layer.packages
    with log.open("w") as record, _building(layer.name(base.name)) as join:
        done = subprocess.run(
            [*join, *command],
            stdin=subprocess.DEVNULL,
            stdout=record,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise SandboxError(f"installing packages failed, see {log}:\n  {_end(log)}")
    for unit in layer.disabled:
        run("systemctl", f"--root={root}", "--quiet", "disable", unit)
    for path in files:
        (root / path).unlink()
    run("umount", str(root))


def clean_up() -> None:
    """End and remove what a killed command left of building a base or a layer."""
    for name in cgroups.names():
        if name.startswith(BUILDING):
            cgroups.end(name)
    for left in cache().glob("*.building"):
        discard(left)


def discard(tree: Path) -> None:
    """Delete a tree, but first unmount what is mounted in it: it could be this machine's own."""
    unmount_below(tree)
    if tree.exists():
        shutil.rmtree(tree)


BUILDING = "building."
"""Begins the names of control groups that bases are built in; no host can be called so."""


@contextlib.contextmanager
def _building(name: str) -> Iterator[list[str]]:
    """Yield the words in front of a command that make it run where all of it can be ended."""
    group = BUILDING + name
    procs = cgroups.create(group) / cgroups.MACHINE / "cgroup.procs"
    try:
        yield ["sh", "-c", 'echo 0 > "$0" && exec "$@"', str(procs)]
    finally:
        cgroups.end(group)


def _end(log: Path) -> str:
    return "\n  ".join(log.read_text().splitlines()[-LOG_LINES_SHOWN:])


def _build(wanted: Recipe, target: Path, apt_options: Iterable[str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    log = target.parent / f"{wanted.suite}.log"
    print(f"building a {wanted.suite} base (once, some 20 s; log: {log})", file=sys.stderr)
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"]
    command += [f"--include={','.join(wanted.packages)}"]
    command += [f"--aptopt={option}" for option in apt_options]
    if wanted.certificates:
        files = " ".join(str(EXTRA_CERTIFICATES / name) for name, _ in wanted.certificates)
        command += [f"--customize-hook=copy-in {files} {EXTRA_CERTIFICATES}"]
    command += [f"--customize-hook={wanted.customize}", wanted.suite, str(target)]
    command += wanted.sources
    started = time.monotonic()
    try:
        with log.open("w") as record, _building(wanted.suite) as join:
            process = subprocess.Popen(
                [*join, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for line in process.stdout or ():
                record.write(line)
                record.flush()
                if at := stage(line):
                    elapsed = time.monotonic() - started
                    print(f"  {elapsed:4.0f} s  {at}", file=sys.stderr, flush=True)
            status = process.wait()
    except BaseException:
        discard(target)
        raise
    if status != 0:
        discard(target)
        raise SandboxError(f"building the {wanted.suite} base failed, see {log}:\n  {_end(log)}")
    (target / "etc/apt/sources.list").write_text("".join(f"{s}\n" for s in wanted.sources))
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(target / "etc/apt/sources.list.d")
    (target / "etc/apt/sources.list.d").mkdir()
    print(f"  {time.monotonic() - started:4.0f} s  done", file=sys.stderr, flush=True)
