"""What can be done with hosts: up, down, reboot, power off, and listing them."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from wsdeploy_sandbox import (
    base,
    cgroups,
    control_hosts,
    guest,
    inotify,
    machine,
    network,
    prerequisites,
    ssh,
    state,
)
from wsdeploy_sandbox.command import run
from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.host import (
    DEFAULT_SUITE,
    DOMAIN,
    SandboxHost,
    check_name,
    check_suite,
    parse_requests,
)
from wsdeploy_sandbox.state import Record

BOOT_TIMEOUT = 120.0
"""Seconds. Booting takes some 2; the rest is for machines that are busy with other things."""


def up(*requests: str, layer: base.Layer | None = None) -> list[SandboxHost]:
    """Bring hosts up, each asked for as NAME or NAME:SUITE, and return them in that order.

    Hosts that run are left alone, those that are powered off are started, others are made. When
    this returns, all of them have booted completely and let root and admin log in.
    layer: packages that those hosts have from the start that are made now.
    Raises SandboxError if a host exists with another suite, or can't be brought up.
    """
    asked = parse_requests(requests)
    prerequisites.require_root()
    known = state.records()
    for name, suite in asked.items():
        if name in known:
            check_suite(name, suite, known[name].suite)
    # Without the lock, so that nobody who only needs hosts that run waits for others to boot.
    if not _all_ready(asked, known):
        with state.lock():
            # With the lock, as apt serves one at a time.
            prerequisites.ensure()
            _bring_up(asked, layer)
    there = {host.name: host for host in _hosts(state.records())}
    return [there[name] for name in asked]


def hosts() -> list[SandboxHost]:
    """Return all hosts, running or stopped, sorted by name."""
    prerequisites.require_root()
    return _hosts(state.records())


def find(name: str) -> SandboxHost:
    """Return one host; raise SandboxError if there is none of that name."""
    found = {host.name: host for host in hosts()}
    if name not in found:
        there = f"there are {', '.join(found)}" if found else "there are none"
        raise SandboxError(f"there is no host {name!r}; {there}")
    return found[name]


def give_way(name: str) -> None:
    """Let a host have only the processor time that no other host wants, until it reboots.

    Hosts share this machine's processors, which those of an attacker and of the attacked don't.
    Raises SandboxError if there is no such host, or the kernel is older than 5.15.
    """
    cgroups.make_idle(find(name).name)


def unplug(name: str) -> None:
    """Cut a host off from all others, as if its network cable were pulled. It goes on running."""
    network.set_link(f"vb-wsd-{find(name).name}", up=False)


def plug_in(name: str) -> None:
    """Connect a host again that was unplugged."""
    network.set_link(f"vb-wsd-{find(name).name}", up=True)


def down(*names: str) -> list[str]:
    """Delete hosts (all without names), running or not, and return the names of those there were.

    With the last host goes everything else that the sandbox made on this machine, except the
    cached bases. Names of hosts that don't exist are no error.
    """
    for name in names:
        check_name(name)
    prerequisites.require_root()
    with state.lock():
        there = sorted({*state.directories(), *_groups()})
        doomed = [name for name in there if not names or name in names]
        for name in doomed:
            machine.kill(name)
            machine.delete(state.HOSTS / name)
        if set(there) == set(doomed):
            _remove_everything()
        else:
            _spread_names()
    return doomed


def poweroff(*names: str) -> None:
    """End hosts as if their power had failed. Their disks stay; `up` boots them again."""
    prerequisites.require_root()
    for name in names:
        find(name)
    with state.lock():
        for name in names:
            machine.kill(name)


def reboot(*names: str) -> None:
    """Ask hosts to reboot, all at once, and wait until they have booted again.

    Raises SandboxError if a host doesn't run, or isn't back in time.
    """
    waiting: dict[str, str] = {}
    for name in names:
        host = find(name)
        if host.state != "running":
            raise SandboxError(f"{name} doesn't run")
        waiting[name] = _boot_id(host.address) or "unknown"
    records = state.records()
    for name in names:
        # The connection may break before the command has returned.
        ssh.output("root", find(name).address, "systemctl", "reboot", timeout=10)
    deadline = time.monotonic() + BOOT_TIMEOUT
    for name, old in waiting.items():
        address = find(name).address

        def is_back(address: str = address, old: str = old) -> bool:
            return ssh.answers(address) and _boot_id(address) not in (None, old)

        _wait(records[name], is_back, deadline, "reboot")
        _wait_until_booted(records[name], address, deadline)


def _hosts(records: dict[str, Record]) -> list[SandboxHost]:
    subnets = network.planned()
    if subnets is None:
        return []
    return [
        SandboxHost(
            name=record.name,
            suite=record.suite,
            address=subnets.address(record.number),
            address6=subnets.address6(record.number),
            user="root",
            key=str(state.KEY),
            domain=f"{record.name}.{DOMAIN}",
            state="running" if machine.is_running(record.name) else "stopped",
            known_hosts=str(state.KNOWN_HOSTS),
        )
        for record in records.values()
    ]


def _all_ready(asked: dict[str, str | None], known: dict[str, Record]) -> bool:
    subnets = network.planned()
    return (
        subnets is not None
        and network.is_up()
        and all(name in known and machine.is_ready(known[name]) for name in asked)
        and control_hosts.has_block(guest.entries(known.values(), subnets, short=False))
        and all(ssh.answers(subnets.address(known[name].number)) for name in asked)
    )


def _bring_up(asked: dict[str, str | None], layer: base.Layer | None) -> None:
    base.clean_up()
    for name in set(state.directories()) - set(state.records()):
        machine.kill(name)
        machine.delete(state.HOSTS / name)  # making it was cut short
    records = state.records()
    for name, suite in asked.items():
        if name in records:
            check_suite(name, suite, records[name].suite)
    around = _surroundings()
    new = {name: suite or DEFAULT_SUITE for name, suite in asked.items() if name not in records}
    in_use = {tree for record in records.values() for tree in (record.base, record.layer)}
    bases = {suite: base.ensure(suite, around.apt_options, in_use) for suite in set(new.values())}
    settings = {guest.APT_OPTIONS: "".join(f"{option}\n" for option in around.apt_options)}
    layers = {
        suite: str(base.ensure_layer(tree, layer, settings, in_use)) if layer else ""
        for suite, tree in bases.items()
    }
    subnets = network.ensure(list(around.nameservers), around.local_resolver)
    key = ssh.ensure_key()
    for name, suite in new.items():
        number = network.next_number(record.number for record in records.values())
        plan = Record(name, suite, number, str(bases[suite]), host_key="", layer=layers[suite])
        records[name] = machine.create(plan, key)
    stopped = [records[name] for name in asked if not machine.is_running(name)]
    inotify.ensure(sum(machine.is_running(name) for name in records) + len(stopped))
    for record in stopped:
        machine.kill(record.name)  # what outlived its keeper can't reboot any more
        machine.mount(record)
        machine.write_files(record, guest.boot_files(record, subnets, around))
    _spread_names()
    for record in stopped:
        machine.start(record)
    deadline = time.monotonic() + BOOT_TIMEOUT
    for name in asked:
        _wait_until_booted(records[name], subnets.address(records[name].number), deadline)


def _wait_until_booted(record: Record, address: str, deadline: float) -> None:
    _wait(record, lambda: ssh.answers(address), deadline, "boot")

    def is_booted() -> bool:
        # As admin, who is refused while the host still boots, and with sudo, to check that too.
        # `degraded` has its own exit status: some unit failed, which is not for us to judge.
        command = "sudo systemctl is-system-running --wait || test $? = 1"
        timeout = max(1.0, deadline - time.monotonic())
        return ssh.output("admin", address, command, timeout=timeout) is not None

    _wait(record, is_booted, deadline, "boot")
    machine.mark_ready(record)


def _wait(record: Record, ready: Callable[[], bool], deadline: float, verb: str) -> None:
    def fail(why: str) -> SandboxError:
        end = machine.console_end(record)
        return SandboxError(
            f"{record.name} didn't {verb}: {why}; {record.console} ends with\n{end}"
        )

    while not ready():
        if not machine.is_running(record.name):
            raise fail("it ended")
        if time.monotonic() > deadline:
            raise fail(f"no answer for {BOOT_TIMEOUT:.0f} s")
        time.sleep(0.02)


def _boot_id(address: str) -> str | None:
    return ssh.output("root", address, "cat", "/proc/sys/kernel/random/boot_id", timeout=10)


def _spread_names() -> None:
    """Tell this machine and all hosts that are mounted the names and keys of all there are."""
    records = state.records().values()
    subnets = network.planned()
    if subnets is None:
        return
    state.KNOWN_HOSTS.parent.mkdir(mode=0o700, exist_ok=True)
    lines = []
    for record in records:
        address, address6 = subnets.address(record.number), subnets.address6(record.number)
        full = f"{record.name}.{DOMAIN}"
        lines.append(ssh.known_hosts_line((address, address6, full), record.host_key))
    control_hosts.replace(state.KNOWN_HOSTS, "".join(lines))
    control_hosts.write_block(guest.entries(records, subnets, short=False))
    names = guest.entries(records, subnets, short=True)
    for record in records:
        if (record.root / "etc").is_dir():
            control_hosts.write_block(names, record.root / "etc/hosts")


def _surroundings() -> guest.Surroundings:
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    # A stub resolver's upstream servers are in files of their own; hosts ask those directly.
    for file in (
        "/etc/resolv.conf",
        "/run/systemd/resolve/resolv.conf",
        "/run/NetworkManager/no-stub-resolv.conf",
    ):
        with contextlib.suppress(FileNotFoundError):
            nameservers, search = guest.parse_resolv_conf(Path(file).read_text())
            nameservers = tuple(s for s in nameservers if not guest.is_loopback(s))
            if nameservers:
                break
    local = None
    if not nameservers:
        with contextlib.suppress(FileNotFoundError):
            servers, search = guest.parse_resolv_conf(Path("/etc/resolv.conf").read_text())
            local = next((server for server in servers if "." in server), None)
    return guest.Surroundings(
        nameservers=nameservers,
        search=search,
        local_resolver=local,
        apt_options=apt_options(),
        mtu=network.mtu(),
    )


def apt_options() -> tuple[str, ...]:
    """Return the lines of apt's configuration by which this machine downloads."""
    dump = run("apt-config", "dump") if shutil.which("apt-config") else ""
    return guest.apt_options(dump, os.environ)


def _groups() -> list[str]:
    with contextlib.suppress(SandboxError):
        return [name for name in cgroups.names() if not name.startswith(base.BUILDING)]
    return []


def _remove_everything() -> None:
    base.clean_up()
    network.remove()
    inotify.restore()
    control_hosts.write_block([])
    machine.release_nspawn_run()
    machine.delete(state.STATE)
