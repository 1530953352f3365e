"""What a host is like: the survey's answer, typed, and the request that asks for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wshost import requests
from wshost.requests import LockState, Network

# What Debian releases have before anything is installed, for planning on a bare host.
DEBIAN_PYTHON = {"12": "3.11", "13": "3.13"}


@dataclass(frozen=True)
class Request:
    """What to ask a host about. Requests of several roles are added up, and asked for at once."""

    packages: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    sysctl: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    """Small files whose content is not secret."""
    locks: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    """Files that are there if a service is no newcomer; if it is one, who else is on the host."""
    firewalls: tuple[str, ...] = ()
    """Files with our packet filter's rules; who asks for one gets to know who listens, too."""
    network: tuple[str, ...] = ()
    """Addresses of other hosts, to get to know the ways to them and the host's own addresses."""

    def __add__(self, other: Request) -> Request:
        """Return a request for all that either asks for."""
        return Request(
            **{
                name: tuple(dict.fromkeys(getattr(self, name) + getattr(other, name)))
                for name in self.__dataclass_fields__
            }
        )

    def to_json(self) -> requests.Survey:
        """Return the request as the host's program takes it."""
        return {
            "packages": [*self.packages],
            "users": [*self.users],
            "groups": [*self.groups],
            "units": [*self.units],
            "sysctl": [*self.sysctl],
            "paths": [*self.paths],
            "certificates": [*self.certificates],
            "texts": [*self.texts],
            "locks": [*self.locks],
            "neighbours": [*self.neighbours],
            "firewalls": [*self.firewalls],
            "network": [*self.network],
        }


@dataclass(frozen=True)
class PathState:
    """A path on a host."""

    kind: str
    """`file`, `directory`, `link` or `other`."""
    mode: int
    owner: str
    group: str
    sha256: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Listener:
    """A socket that others could reach: not one of loopback."""

    protocol: str
    """`tcp` or `udp`."""
    port: int
    unit: str
    """The systemd unit that it belongs to, or nothing."""


@dataclass(frozen=True)
class Process:
    """A process under Supervisor."""

    group: str
    name: str
    statename: str
    pid: int
    start: int


@dataclass(frozen=True)
class Survey:
    """The state of a host. A bare host, without Python, has all of this empty."""

    bare: bool = False
    system: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    units: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sysctl: Mapping[str, str | None] = field(default_factory=dict)
    paths: Mapping[str, PathState] = field(default_factory=dict)
    certificates: Mapping[str, Mapping[str, str] | None] = field(default_factory=dict)
    processes: tuple[Process, ...] | None = None
    listeners: tuple[Listener, ...] = ()
    ssh_ports: tuple[int, ...] = ()
    """Where SSH connections come in."""
    firewall_ports: tuple[int, ...] = ()
    """The app's ports that our packet filter's present rules know of."""
    neighbours: Mapping[str, Any] | None = None
    """Who else is on the host (wshost.survey.neighbours); None if the service is no newcomer."""
    firewall_as_loaded: bool = False
    """Whether the loaded rules of our packet filter are those that a deployment has loaded."""
    locks: Mapping[str, LockState | None] = field(default_factory=dict)
    """Of each service, who has the lock of the fleet on this host, or had it last."""
    starts: Mapping[str, Mapping[str, tuple[int, float]]] = field(default_factory=dict)
    """Of each service, how often each process of its live generation was started, and when last in
    seconds since 1970."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Contents of those files that are there."""
    served: bool = False
    """Whether a client on the host was served by its proxy, if the survey had one come."""
    network: Network = field(default_factory=lambda: Network(addresses={}, routes={}, vendor=""))
    """The host's addresses, and its ways to the other proxies (wshost.survey.addresses)."""
    app_processes: Mapping[str, int] = field(default_factory=dict)
    """How many processes app hosts have, on a proxy apart from them that had to learn it."""

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Survey:
        """Read a survey from the answer of the host's program."""
        processes = answer.get("processes")
        paths = {path: PathState(**entry) for path, entry in answer.get("paths", {}).items()}
        return cls(
            **{
                **answer,
                "users": tuple(answer.get("users", ())),
                "groups": tuple(answer.get("groups", ())),
                "paths": paths,
                "listeners": tuple(Listener(**it) for it in answer.get("listeners", ())),
                "ssh_ports": tuple(answer.get("ssh_ports", ())),
                "firewall_ports": tuple(answer.get("firewall_ports", ())),
                "processes": None if processes is None else tuple(Process(**p) for p in processes),
            }
        )

    @property
    def python(self) -> str:
        """The version of the host's Python, such as 3.11: the one it has, or will have."""
        version = self.system.get("python") or DEBIAN_PYTHON.get(self.system.get("version", ""))
        return str(version or DEBIAN_PYTHON["12"])

    def not_running(self, unit: str) -> list[str]:
        """Return what keeps a unit of our own from running, now and after a boot."""
        return [] if self.running(unit) else [f"{unit} is not running"]

    def is_active(self, unit: str) -> bool:
        """Tell whether a unit runs, whatever its files say by now."""
        return self.units.get(unit, {}).get("ActiveState") == "active"

    def running(self, unit: str) -> bool:
        """Tell whether a unit runs, will run after a boot, and runs as its files say."""
        state = self.units.get(unit, {})
        return (
            state.get("ActiveState") == "active"
            and state.get("UnitFileState") == "enabled"
            and state.get("NeedDaemonReload") == "no"
        )
