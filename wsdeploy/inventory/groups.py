"""The groups of an inventory: which hosts run the app, and which are proxies."""

from __future__ import annotations

import difflib
import ipaddress
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wsdeploy import command_line, templates
from wsdeploy.inventory import local_files
from wsdeploy.settings.app import App
from wsdeploy.settings.failover import DOCUMENTATION, Failover, as_written
from wsdeploy.settings.names import is_address, is_host_name, is_placeholder, is_private_address
from wsdeploy.settings.proxy import Nginx
from wsdeploy.settings.section import Problem, Range, accepts, describe, refused
from wsdeploy.settings.service import (
    MOST_PORT_WITH_TLS,
    TLS_PORTS_AFTER,
    Settings,
    SettingsError,
)
from wsdeploy.settings.topology import Topology

HostEntry = str | tuple[str, dict[str, Any]]
"""A host as pyinfra writes it: a name, or a name with data."""

Group = tuple[list[HostEntry], dict[str, Any]]
"""A group as pyinfra reads it: hosts, and data for all of them."""

ROLES = ("app", "proxy")

HOST_DATA = {"ssh_strict_host_key_checking": "yes"}
"""Data that all hosts have unless the inventory says otherwise. pyinfra's own default accepts any
key of a host that it has never seen."""


SSH_DATA: Mapping[str, type] = {
    "ssh_hostname": str,
    "ssh_port": int,
    "ssh_user": str,
    "ssh_password": str,
    "ssh_key": str,
    "ssh_key_password": str,
    "ssh_allow_agent": bool,
    "ssh_look_for_keys": bool,
    "ssh_forward_agent": bool,
    "ssh_config_file": str,
    "ssh_known_hosts_file": str,
    "ssh_strict_host_key_checking": str,
    "ssh_paramiko_connect_kwargs": dict,
    "ssh_connect_retries": int,
    "ssh_connect_retry_min_delay": float,
    "ssh_connect_retry_max_delay": float,
    "ssh_file_transfer_protocol": str,
}
"""Host data that pyinfra's SSH connector reads. Other names are anybody's own data."""

SSH_PORTS = Range(1, 65_535)

PRIVATE_ADDRESS = "private_address"
SPARE_ADDRESSES = "spare_addresses"

LEAST_TO_SHARE = 2
"""Proxies that can share addresses."""


def hosts(
    settings: Settings,
    app: str | Iterable[HostEntry],
    proxy: str | Iterable[HostEntry] | None = None,
    spare_addresses: str | Iterable[str] = (),
    **data: Any,
) -> tuple[Group, Group]:
    """Return the two groups of an inventory, which it has to call `app` and `proxy`.

    app, proxy: names or `(name, {data})`, as in any pyinfra inventory. A host may be both. Without
    proxy, each app host is the proxy in front of itself.
    spare_addresses: private addresses of further app hosts, which may exist at times or not at all.
    Proxies (HAProxy only) ask them for their health all the time, and pass clients to those that
    answer, without a reload. A run does not contact them.
    data: pyinfra's host data for all of them, such as `ssh_user="debian"`. A user who is not root
    needs sudo without a password; for one with a password, say `_sudo=True` as for any pyinfra
    deploy. Hosts whose SSH key is not known here are refused, as secrets are sent to them, unless
    `ssh_strict_host_key_checking="accept-new"` is given.

    Raises SettingsError with every problem of the settings, of the files that they name and of the
    hosts.
    """
    given = {"app": _entries(app)} | ({} if proxy is None else {"proxy": _entries(proxy)})
    groups = {role: given.get(role, given["app"]) for role in ROLES}
    spare = [spare_addresses] if isinstance(spare_addresses, str) else list(spare_addresses)
    placed = settings.placed(_topology(groups, data, spare))
    # Hosts that were given once are complained of once.
    found = [
        *placed.all_problems(),
        *local_files.problems(placed),
        *_host_problems(given),
        *_data_problems(given, data),
        *_key_problems(placed, given, data),
        *_tier_problems(placed),
        *_failover_problems(placed, given, data),
        *_spare_problems(placed),
        *template_problems(),
    ]
    if found:
        raise SettingsError(command_line.inventory(sys.argv[1:]) or "inventory", found)
    shared = HOST_DATA | data | {"settings": placed}
    return (groups["app"], shared), (groups["proxy"], shared)


def _entries(given: str | Iterable[HostEntry]) -> list[HostEntry]:
    return [given] if isinstance(given, str) else list(given)


def _topology(
    groups: Mapping[str, Sequence[HostEntry]], shared: Mapping[str, Any], spare: Iterable[str] = ()
) -> Topology:
    members: dict[str, tuple[str, ...]] = {}
    addresses: dict[str, str] = {}
    ssh_ports: dict[str, int] = {}
    for role, entries in groups.items():
        found = [(e, {}) if isinstance(e, str) else e for e in entries if _is_entry(e)]
        members[role] = tuple(name for name, _ in found)
        for name, own in found:
            data = {**shared, **own}
            if PRIVATE_ADDRESS in data:
                addresses[name] = data[PRIVATE_ADDRESS]
            if "ssh_port" in data:
                ssh_ports[name] = data["ssh_port"]
    return Topology(members["app"], members["proxy"], addresses, ssh_ports, tuple(spare))


def _host_problems(groups: Mapping[str, Sequence[HostEntry]]) -> Iterator[Problem]:
    for role, entries in groups.items():
        if not entries:
            yield Problem(role, f'no hosts; give their names: {role}=["{role}1.your-company.com"]')
        names = []
        for entry in entries:
            if not _is_entry(entry):
                yield refused(role, entry, 'give "name" or ("name", {data})')
                continue
            name = entry if isinstance(entry, str) else entry[0]
            names.append(name)
            if is_placeholder(name):
                yield refused(role, name, "that is a placeholder; give your own host's name")
            elif not (name.startswith("@") or is_address(name) or is_host_name(name)):
                yield refused(role, name, "give a host name or an address")
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield refused(role, name, "listed twice; list it once")


def _data_problems(
    groups: Mapping[str, Sequence[HostEntry]], shared: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield what is wrong with host data; what several hosts have is complained of once."""
    entries = [entry for group in groups.values() for entry in group if _is_entry(entry)]
    found = dict.fromkeys(
        problem
        for data in (shared, *(entry[1] for entry in entries if isinstance(entry, tuple)))
        for name, value in data.items()
        if isinstance(name, str)
        for problem in _datum_problems(name, value)
    )
    yield from found


def _datum_problems(name: str, value: object) -> Iterator[Problem]:
    if name in SSH_DATA:
        wanted = SSH_DATA[name]
        if value is None:
            return
        if name == "ssh_port" and not (accepts(int, value) and value in SSH_PORTS):
            yield refused(name, value, f"give {SSH_PORTS}")
        elif not accepts(wanted, value):
            # Some of these are passwords.
            yield Problem(
                name, f"a value of type {type(value).__name__} given; give {describe(wanted)}"
            )
        elif name == "ssh_key" and not Path(str(value)).expanduser().is_file():
            yield refused(name, value, "give one that exists on this machine")
    elif name.startswith("ssh_"):
        # What all of them begin with makes none of them alike.
        known = {each.removeprefix("ssh_"): each for each in SSH_DATA}
        close = difflib.get_close_matches(name.removeprefix("ssh_"), known, n=1)
        hint = (
            f" (did you mean {known[close[0]]}?)" if close else f"; known are {', '.join(SSH_DATA)}"
        )
        yield Problem(name, f"pyinfra has no such data{hint}")
    elif name != PRIVATE_ADDRESS and difflib.get_close_matches(
        name, [PRIVATE_ADDRESS], cutoff=0.85
    ):
        yield Problem(name, f"no such data (did you mean {PRIVATE_ADDRESS}?)")


def _key_problems(
    settings: Settings, groups: Mapping[str, Sequence[HostEntry]], shared: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield which keys for SSH would travel with the app."""
    app = settings.app
    entries = [entry for group in groups.values() for entry in group if _is_entry(entry)]
    own = [entry[1] for entry in entries if isinstance(entry, tuple)]
    keys = [each["ssh_key"] for each in (shared, *own) if isinstance(each.get("ssh_key"), str)]
    for key in dict.fromkeys(keys):
        if isinstance(app, App) and app.path:
            yield from local_files.travelling(app, {"ssh_key": key})


def template_problems() -> Iterator[Problem]:
    """Yield the templates of one's own that take the place of none."""
    found = (name for each in templates.own(sys.argv[1:]) for name in templates.unknown(each))
    for name in found:
        wanted = (
            "takes the place of none of wsdeploy's; give it the name of one, or let it begin with "
            f"{templates.PART} if others include it"
        )
        yield refused("templates", str(name), wanted)


def _tier_problems(settings: Settings) -> Iterator[Problem]:
    topology = settings.topology
    if not (topology.app and topology.proxy):
        return
    if topology.alone:
        if settings.internal_tls is True:
            yield refused(
                "internal_tls", True, "app and proxy are the same hosts here; leave it out"
            )
        return
    if settings.leaving is not None:
        yield Problem(
            "leaving",
            "app and proxy are on different hosts here; only machines that are both come and go by "
            "themselves; leave it out",
        )
    if isinstance(settings.app, App):
        yield from _tier_listen_problems(settings)
    why = "app and proxy are on different hosts, so give the address that they reach each other at"
    yield from _address_problems(topology, (*topology.app, *topology.proxy), why)


def _address_problems(topology: Topology, names: Sequence[str], why: str) -> Iterator[Problem]:
    """Yield what is wrong with the private addresses of hosts. why: they need them."""
    taken: dict[str, str] = {}
    for host in dict.fromkeys(names):
        address = topology.addresses.get(host)
        if address is None:
            role = "app" if host in topology.app else "proxy"
            yield Problem(
                role,
                f'{host} has no private_address; {why}: ("{host}", '
                '{"private_address": "10.0.0.1"})',
            )
        elif not is_private_address(address):
            yield refused("private_address", address, f"give an address for {host}")
        elif address in taken:
            wanted = f"{host} needs its own; {taken[address]} has that one"
            yield refused("private_address", address, wanted)
        else:
            taken[address] = host


def _tier_listen_problems(settings: Settings) -> Iterator[Problem]:
    app = settings.app
    if settings.internal_tls is not True:
        if app.listen == "unix":
            wanted = "other hosts can't reach sockets; give 'tcp' or 'shared'"
            yield refused("app.listen", "unix", wanted)
        return
    if app.listen not in (None, "unix"):
        wanted = "with internal_tls, processes listen on unix sockets; leave it out"
        yield refused("app.listen", app.listen, wanted)
    if app.port > MOST_PORT_WITH_TLS:
        yield refused(
            "app.port",
            app.port,
            f"internal_tls takes ports from {TLS_PORTS_AFTER} above it; "
            f"give a whole number from 1,024 to {MOST_PORT_WITH_TLS:,}",
        )


def _failover_problems(
    settings: Settings, groups: Mapping[str, Sequence[HostEntry]], shared: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield what keeps the proxies from sharing addresses."""
    topology, failover = settings.topology, settings.failover
    if not isinstance(failover, Failover) or not topology.proxy:
        return
    if len(set(topology.proxy)) < LEAST_TO_SHARE:
        yield Problem(
            "failover",
            f"{topology.proxy[0]} is the only proxy, and nobody could take its addresses over; "
            "give another proxy, or leave it out",
        )
        return
    if topology.alone:
        why = "proxies that share addresses reach each other by it"
        yield from _address_problems(topology, topology.proxy, why)
    own: dict[str, str] = {}
    for entry in (entry for group in groups.values() for entry in group if _is_entry(entry)):
        name, data = (entry, {}) if isinstance(entry, str) else entry
        data = {**shared, **data}
        for address in (name, data.get("ssh_hostname"), data.get(PRIVATE_ADDRESS)):
            own[as_written(str(address))] = name
    for address in failover.addresses or ():
        if (host := own.get(as_written(address))) is not None:
            wanted = f"that is {host}'s own; give one that no host has"
            yield refused("failover.addresses", address, wanted)
    versions = {
        ipaddress.ip_address(address).version
        for each in topology.proxy
        if is_private_address(address := topology.addresses.get(each, ""))
    }
    offered = {
        ipaddress.ip_address(each).version for each in failover.addresses or () if is_address(each)
    }
    if len(versions) > 1:
        wanted = "give those of all proxies as IPv4, or all as IPv6, for them to share addresses"
        yield Problem("private_address", wanted)
    elif versions and offered and not versions & offered:
        yield Problem(
            "failover.addresses",
            f"none is of IPv{versions.pop()}, as the proxies' private addresses are; add one, or "
            f"give private addresses of IPv{offered.pop()}",
        )


def _spare_problems(settings: Settings) -> Iterator[Problem]:
    """Yield why proxies could not pass clients to machines that may not exist."""
    spare, topology = settings.topology.spare, settings.topology
    if not spare:
        return
    if topology.alone:
        yield Problem(SPARE_ADDRESSES, "app and proxy are the same hosts here; leave it out")
    elif isinstance(settings.proxy, Nginx):
        yield Problem(
            SPARE_ADDRESSES,
            "nginx does not look whether a host is there before it passes a client to it; "
            "give proxy=HAProxy()",
        )
    if settings.internal_tls is True:
        yield Problem(
            SPARE_ADDRESSES,
            "with internal_tls, proxies only trust hosts whose certificates a run has collected; "
            "leave out one of the two",
        )
    app = settings.app
    if isinstance(app, App) and app.processes == "auto" and app.listen != "shared":
        yield refused(
            "app.processes",
            "auto",
            "hosts at spare_addresses are not asked how many they have; give a number",
        )
    yield from _spare_address_problems(settings)


def _spare_address_problems(settings: Settings) -> Iterator[Problem]:
    topology, failover = settings.topology, settings.failover
    named = dict.fromkeys((*topology.app, *topology.proxy))
    # Two spellings of an address are one: fd00::1 and fd00:0::1.
    taken = {
        ipaddress.ip_address(address): f"{host} of the inventory has that one; leave it out"
        for host in named
        for address in (host, topology.addresses.get(host))
        if isinstance(address, str) and is_address(address)
    }
    for address in (failover.addresses or ()) if isinstance(failover, Failover) else ():
        if is_address(address):
            taken[ipaddress.ip_address(address)] = "the proxies share that one; leave it out"
    for given in topology.spare:
        if not is_private_address(given):
            yield refused(SPARE_ADDRESSES, given, "give an address")
            continue
        found = ipaddress.ip_address(given)
        if any(found in network for network in DOCUMENTATION):
            wanted = "that is a placeholder; give an address of your private network"
            yield refused(SPARE_ADDRESSES, given, wanted)
        elif found in taken:
            yield refused(SPARE_ADDRESSES, given, taken[found])
        taken.setdefault(found, "listed twice; list it once")


def _is_entry(entry: object) -> bool:
    """Tell whether this is how pyinfra writes a host: a name, or a name and a dict."""
    match entry:
        case str() | (str(), dict()):
            return True
    return False
