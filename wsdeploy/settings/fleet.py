"""The one object that an inventory file makes: everything about a service but its hosts' names."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from wsdeploy import command_line
from wsdeploy.settings import local_files
from wsdeploy.settings.app import App
from wsdeploy.settings.edge import Edge
from wsdeploy.settings.firewall import Firewall
from wsdeploy.settings.names import (
    is_address,
    is_domain,
    is_host_name,
    is_placeholder,
    is_private_address,
)
from wsdeploy.settings.proxy import HAProxy, Nginx
from wsdeploy.settings.section import Problem, Section, refused, similar
from wsdeploy.settings.tls import Acme, CertFiles, SelfSigned
from wsdeploy.topology import Topology

ROLES = ("app", "proxy")

# Users of Debian's base system and of the programs that run beside the app, and folders of /etc and
# /var/lib.
# fmt: off
TAKEN_NAMES = frozenset((
    "root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy",
    "www-data", "backup", "list", "irc", "gnats", "nobody", "messagebus", "sshd", "nginx",
    "haproxy", "supervisor", "ssl", "ssh", "apt", "default", "security", "cloud", "dbus", "dpkg",
    "git", "grub", "logrotate", "misc", "needrestart", "nftables", "pam", "polkit-1", "private",
    "python", "sudo", "systemd", "ucf", "unattended-upgrades", "wsdeploy", "wtmpdb",
    # Groups of Debian's, some of which give rights; and users that images bring.
    "adm", "admin", "audio", "avahi", "cdrom", "crontab", "debian", "dialout", "dip", "disk",
    "docker", "ec2-user", "fax", "floppy", "input", "kmem", "kvm", "lxd", "netdev", "nogroup",
    "operator", "pi", "plugdev", "postfix", "postgres", "redis", "render", "sasl", "sgx",
    "shadow", "src", "staff", "sudoers", "tape", "tty", "ubuntu", "users", "utmp", "vagrant",
    "video", "voice", "wheel",
    # Tables of the packet filter that others have.
    "broute", "filter", "mangle", "nat", "raw",
    # Files of systemd-tmpfiles and systemd-sysusers, and folders of /run, /srv and /var/log.
    "basic", "boot", "cache", "credstore", "cryptsetup", "home", "initctl", "journal", "legacy",
    "lib", "local", "lock", "log", "network", "opt", "passwd", "provision", "run", "shm", "spool",
    "srv", "static-nodes", "tmp", "udev", "user", "var", "x11",
))
# fmt: on

# TLS listeners have ports of their own, after the 99 that the processes of an app may have: so both
# are there while internal_tls is switched on or off.
TLS_PORTS_AFTER = 100
MOST_PORT_WITH_TLS = 65_435 - TLS_PORTS_AFTER

HostEntry = str | tuple[str, dict[str, Any]]


HOST_DATA = {"ssh_strict_host_key_checking": "yes"}
"""Data that all hosts have unless the inventory says otherwise. pyinfra's own default accepts any
key of a host that it has never seen."""


class SettingsError(SystemExit):
    """What is wrong with an inventory file, a line for each mistake.

    It is a SystemExit so that the pyinfra CLI, which reads the file, ends with just these lines
    and exit code 1, where any other exception would show a traceback.
    """

    def __init__(self, source: str, problems: list[Problem]) -> None:
        lines = [f"{source}: {len(problems)} to mend, no host was contacted"]
        super().__init__("\n".join(lines + [f"  {problem}" for problem in problems]))
        self.problems = problems


class Hosts(list[HostEntry]):
    """The hosts of a group, which check the settings when they are read.

    pyinfra reads them once the whole inventory file has run; only then are the file's settings
    and groups complete.
    """

    def __init__(self, settings: Settings, hosts: Iterable[HostEntry]) -> None:
        super().__init__(hosts)
        self.settings = settings

    def __iter__(self) -> Iterator[HostEntry]:
        self.settings.check()
        return super().__iter__()


class Settings(Section):
    """A WebSocket service: its name on the Internet, its app, its proxy and its size."""

    domain: str
    """Name that clients connect to, such as 'ws.your-company.com'. Other names are refused."""
    app: App
    """What runs: `App(...)`."""
    tls: Acme | CertFiles | SelfSigned
    """Where the certificate comes from: `Acme(...)`, `CertFiles(...)` or `SelfSigned()`."""
    proxy: Nginx | HAProxy = Nginx()
    """What stands in front: `Nginx()` or `HAProxy()`."""
    max_connections: int = 10_000
    """Clients that one proxy host should hold at once, 1 to 1,000,000. Open files, backlogs and
    worker connections follow from it; a host that allows less gets what it allows, and says so."""
    firewall: Firewall | bool = True
    """What others may reach on the hosts, by an nftables table of the service's own: `True`, which
    is `Firewall()`, or `Firewall(...)` with more; see docs/hosts.md. `False` leaves that to you."""
    edge: Edge = Edge()
    """Who may connect, where and how often, and what balancer is in front: `Edge(...)`."""
    name: str = "ws"
    """Name of the service on its hosts: of its user, its folders and its processes."""
    hosts_at_once: int = 1
    """App hosts that get a new release at the same time, 1 to 100. The first one always gets it
    alone, and if it fails there, the others keep what they have."""
    internal_tls: bool = False
    """Whether what passes from proxies to app hosts is encrypted, where they are different hosts.
    Each side shows a certificate that the other one knows; hosts make their own."""
    security_updates: bool = False
    """Whether hosts install Debian's security updates by themselves (unattended-upgrades). False
    leaves a host as it is. Neither restarts what holds connections; see docs/hosts.md."""
    take_over: bool = False
    """Whether a host's nginx, HAProxy or Supervisor may become the service's, though it has a
    configuration or programs of somebody else's. What was there stays on the host, under a path
    that the run names. False ends the run before it changes anything."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if is_placeholder(self.domain):
            yield refused("domain", self.domain, "that is a placeholder; give your service's name")
        elif not is_domain(self.domain):
            yield refused("domain", self.domain, "give a full host name, such as ws.your-name.com")
        if not 1 <= self.max_connections <= 1_000_000:
            yield refused(
                "max_connections", self.max_connections, "give a whole number, 1 to 1,000,000"
            )
        if not 1 <= self.hosts_at_once <= 100:
            yield refused("hosts_at_once", self.hosts_at_once, "give a whole number, 1 to 100")
        # 20 characters leave room for the suffixes of users and groups, which may have 32.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", self.name):
            yield refused(
                "name", self.name, "give lower-case letters, digits and hyphens, at most 20"
            )
        if self.name in TAKEN_NAMES:
            yield refused("name", self.name, "Debian has a user or folder of that name")
        yield from self._edge_problems()

    def _edge_problems(self) -> Iterator[Problem]:
        edge, app = self.edge, self.app
        if isinstance(app, App) and not edge.takes_handshakes_at(app.probe.path):
            yield refused(
                "edge.paths",
                edge.paths,
                f"the check of a deployment goes to {app.probe.path!r}; "
                "add that, or change app.probe.path",
            )
        if (
            edge.behind is not None
            and edge.behind.direct
            and edge.behind.header == "proxy-protocol"
            and isinstance(self.proxy, Nginx)
        ):
            yield refused(
                "edge.behind.direct",
                True,
                "nginx takes the PROXY protocol from everybody or nobody; give False, or HAProxy()",
            )

    def group(self, hosts: Iterable[HostEntry], **data: Any) -> tuple[Hosts, dict[str, Any]]:
        """Return a pyinfra group of these hosts. Name it `app` or `proxy`; a host may be in both.

        hosts: names or `(name, {data})`, as in any pyinfra inventory.
        data: pyinfra's host data for all of them, such as `ssh_user="debian"`. A user who is not
        root needs sudo without a password; for one with a password, say `_sudo=True` as for any
        pyinfra deploy. Hosts whose SSH key is not known here are refused, as secrets are sent to
        them, unless `ssh_strict_host_key_checking="accept-new"` is given.
        """
        if isinstance(hosts, str):
            hosts = [hosts]
        group = Hosts(self, hosts)
        self._groups().append(group)
        object.__setattr__(self, "_inventory", sys._getframe(1).f_globals)
        return group, HOST_DATA | data | {"settings": self}

    def _groups(self) -> list[Hosts]:
        if "_group_list" not in self.__dict__:
            object.__setattr__(self, "_group_list", [])
        groups: list[Hosts] = self.__dict__["_group_list"]
        return groups

    def check(self) -> None:
        """Raise SettingsError with every problem of the settings, their files and their groups."""
        if self.__dict__.get("_checked"):
            return
        found = [
            *self.all_problems(),
            # Who only rolls back has neither the app's code nor its secrets.
            *(
                local_files.problems(self.domain, self.app, self.tls)
                if command_line.deploys(sys.argv[1:])
                else ()
            ),
            *self._group_problems(),
        ]
        if found:
            inventory = self.__dict__.get("_inventory", {})
            raise SettingsError(inventory.get("__file__", "settings"), found)
        object.__setattr__(self, "_checked", True)

    def _group_problems(self) -> Iterator[Problem]:
        members: dict[str, list[str]] = {}
        for variable, (hosts, _) in self._inventory_groups().items():
            if variable not in ROLES:
                hint = similar(variable, list(ROLES))
                yield Problem(variable, f"no such group{hint}; groups are app and proxy")
            members[variable] = []
            for entry in list.__iter__(hosts):
                if _is_entry(entry):
                    members[variable].append(_name(entry))
                else:
                    yield refused(variable, entry, 'give "name" or ("name", {data})')
        for role in ROLES if self._groups() else ():
            if not members.get(role):
                yield Problem(role, f"no hosts; say {role} = settings.group([...])")
        for role, names in members.items():
            for name in names:
                if is_placeholder(name):
                    yield refused(role, name, "that is a placeholder; give your own host's name")
                elif not (name.startswith("@") or is_address(name) or is_host_name(name)):
                    yield refused(role, name, "give a host name or an address")
            for name in sorted({name for name in names if names.count(name) > 1}):
                yield refused(role, name, "listed twice; list it once")
        yield from self._tier_problems()

    def _tier_problems(self) -> Iterator[Problem]:
        topology = self.topology
        if not (topology.app and topology.proxy):
            return
        if topology.alone:
            if self.internal_tls is True:
                yield refused(
                    "internal_tls", True, "app and proxy are the same hosts here; leave it out"
                )
            return
        if isinstance(self.app, App):
            yield from self._tier_listen_problems(self.app)
        taken: dict[str, str] = {}
        for host in dict.fromkeys((*topology.app, *topology.proxy)):
            address = topology.addresses.get(host)
            if address is None:
                role = "app" if host in topology.app else "proxy"
                yield Problem(
                    role,
                    f"{host} has no private_address; app and proxy are on different hosts, so give "
                    f'the address that they reach each other at: ("{host}", '
                    '{"private_address": "10.0.0.1"})',
                )
            elif not is_private_address(address):
                yield refused("private_address", address, f"give an address for {host}")
            elif address in taken:
                wanted = f"{host} needs its own; {taken[address]} has that one"
                yield refused("private_address", address, wanted)
            else:
                taken[address] = host

    def _tier_listen_problems(self, app: App) -> Iterator[Problem]:
        if self.internal_tls is not True:
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

    @property
    def topology(self) -> Topology:
        """Which hosts of the inventory file do what."""
        found = self.__dict__.get("_topology")
        if found is None:
            found = self._read_topology()
            if self.__dict__.get("_checked"):
                # By now the file has run to its end.
                object.__setattr__(self, "_topology", found)
        return found

    def _read_topology(self) -> Topology:
        members: dict[str, tuple[str, ...]] = {}
        addresses: dict[str, str] = {}
        ssh_ports: dict[str, int] = {}
        for role, (hosts, shared) in self._inventory_groups().items():
            found = [entry for entry in list.__iter__(hosts) if _is_entry(entry)]
            entries = [(h, {}) if isinstance(h, str) else h for h in found]
            members[role] = tuple(name for name, _ in entries)
            for name, own in entries:
                data = {**shared, **own}
                if "private_address" in data:
                    addresses[name] = data["private_address"]
                if "ssh_port" in data:
                    ssh_ports[name] = data["ssh_port"]
        return Topology(members.get("app", ()), members.get("proxy", ()), addresses, ssh_ports)

    def listen(self) -> str:
        """Return how the app's processes listen: the setting, or what fits the topology."""
        sockets = self.topology.alone or self.internal_tls
        return self.app.listen or ("unix" if sockets else "tcp")

    def _inventory_groups(self) -> dict[str, tuple[Hosts, dict[str, Any]]]:
        """Return the groups of these settings by the variables that the file gave them."""
        inventory: dict[str, Any] = self.__dict__.get("_inventory", {})
        return {
            variable: value
            for variable, value in inventory.items()
            if not variable.startswith("_")
            and isinstance(value, tuple)
            and value
            and isinstance(value[0], Hosts)
            and value[0].settings is self
        }


def _is_entry(entry: object) -> bool:
    """Tell whether this is how pyinfra writes a host: a name, or a name and a dict."""
    match entry:
        case str() | (str(), dict()):
            return True
    return False


def _name(host: HostEntry) -> str:
    return host if isinstance(host, str) else host[0]
