"""The one object that an inventory file makes: everything about a service but its hosts' names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Self

from wsdeploy.settings.app import App
from wsdeploy.settings.edge import Edge
from wsdeploy.settings.failover import Failover
from wsdeploy.settings.firewall import Firewall
from wsdeploy.settings.leaving import Leaving, too_long
from wsdeploy.settings.metrics import Metrics
from wsdeploy.settings.names import domain_wanted, is_domain, is_placeholder
from wsdeploy.settings.proxy import HAProxy, Nginx
from wsdeploy.settings.section import Problem, Range, Section, refused
from wsdeploy.settings.tls import Acme, CertFiles, SelfSigned
from wsdeploy.settings.topology import Topology

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


class SettingsError(SystemExit):
    """What is wrong with an inventory file, a line for each mistake.

    It is a SystemExit so that the pyinfra CLI, which reads the file, ends with just these lines
    and exit code 1, where any other exception would show a traceback.
    """

    def __init__(self, source: str, problems: list[Problem]) -> None:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        lines = [f"{source}: {count}; no host was contacted"]
        super().__init__("\n".join(lines + [f"  {problem}" for problem in problems]))
        self.problems = problems


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
    max_connections: Annotated[int, Range(1, 1_000_000)] = 10_000
    """Clients that one proxy host should hold at once. Open files, backlogs and
    worker connections follow from it; a host that allows less gets what it allows, and says so."""
    firewall: Firewall | bool = True
    """What others may reach on the hosts, by a separate nftables table: `True`, which is
    `Firewall()`, or `Firewall(...)` with more; see docs/operate/hosts.md. `False` leaves that to
    you."""
    edge: Edge = Edge()
    """Who may connect, where and how often, and which balancer is in front: `Edge(...)`."""
    failover: Failover | None = None
    """Addresses that two or more proxies share, so that one of them may fail: `Failover(...)`."""
    metrics: Metrics | None = None
    """Numbers of every host for Prometheus: `Metrics(allow=["10.0.0.5"])`. None has no page."""
    name: str = "ws"
    """Name of the service on its hosts: of its user, its folders and its processes."""
    hosts_at_once: Annotated[int, Range(1, 100)] = 1
    """App hosts that get a new release at the same time. The first host always gets it alone, and
    if it fails there, the other hosts keep what they have. As long as none has ever served, all get
    it together."""
    internal_tls: bool = False
    """Whether traffic between proxies and app hosts is encrypted, where they are different hosts.
    Each side shows a certificate that the other side knows; hosts make their own."""
    security_updates: bool = False
    """Whether hosts install Debian's security updates by themselves (unattended-upgrades). False
    leaves a host as it is. Neither restarts programs that hold connections; see
    docs/operate/hosts.md."""
    take_over: bool = False
    """Whether the deployment may take over a host's nginx, HAProxy or Supervisor although it has
    somebody else's configuration or programs. What was there stays on the host, under a path that
    the run names. In a cluster, whether objects of the service's names may be taken over that
    somebody else has made. False ends the run before it changes anything."""
    leaving: Leaving | None = None
    """How a machine learns that its cloud takes it away, so that it drains in time:
    `Leaving(...)`. None leaves that to the power-off."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if is_placeholder(self.domain):
            yield refused("domain", self.domain, "that is a placeholder; give your service's name")
        elif not is_domain(self.domain):
            yield refused("domain", self.domain, domain_wanted(self.domain))
        # 20 characters leave room for the suffixes of users and groups, which may have 32.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", self.name):
            yield refused(
                "name", self.name, "give lower-case letters, digits and hyphens, at most 20"
            )
        if self.name in TAKEN_NAMES:
            yield refused("name", self.name, "Debian has a user or folder of that name")
        yield from self._edge_problems()
        yield from self._metrics_problems()
        if isinstance(self.leaving, Leaving) and isinstance(self.app, App):
            yield from too_long(self.leaving, min(self.app.drain, self.app.shutdown_drain))

    def _metrics_problems(self) -> Iterator[Problem]:
        if not isinstance(self.metrics, Metrics) or not isinstance(self.app, App):
            return
        port, first = self.metrics.port, self.app.port
        # Those of processes, and of listeners of internal_tls after them.
        if isinstance(port, int) and isinstance(first, int):
            last = first + 2 * TLS_PORTS_AFTER - 1
            if self.app.listen != "unix" and first <= port <= last:
                wanted = f"{first} to {last} are for the app's processes; give another port"
                yield refused("metrics.port", port, wanted)

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

    @property
    def topology(self) -> Topology:
        """Which hosts do what: of settings that `hosts` has put into groups, else none."""
        found: Topology = self.__dict__.get("_topology", Topology())
        return found

    def placed(self, topology: Topology) -> Self:
        """Return the same settings for these hosts."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, _topology=topology)
        return made

    def listen(self) -> str:
        """Return how the app's processes listen: the setting, or what fits the topology."""
        sockets = self.topology.alone or self.internal_tls
        return self.app.listen or ("unix" if sockets else "tcp")
