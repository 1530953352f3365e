"""A part of a host: a set of files with what belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wsdeploy.plan.host.files import Command, FileSet
from wsdeploy.plan.host.survey import Request
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings


def _nothing(_: object) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Component:
    """A part of a host. What a host is asked, given and cleared of follows from its components."""

    name: str
    """What its set of files is called, after the service's name."""
    title: str
    """What its operation is called."""
    roles: tuple[str, ...]
    """Of the hosts that may have it: `app`, `proxy`."""
    files: Callable[[Target], FileSet]
    """Its files, with the commands that check and activate them."""
    wanted: Callable[[Target], bool] = lambda _: True
    """Whether a host of these roles has it. If not, what is left of it is removed."""
    drift: Callable[[Target], list[str]] = lambda _: []
    """What its files should have brought about on the host, but have not, or no longer do."""
    unit: Callable[[Settings], str] | None = None
    """Its systemd unit, stopped when it is removed: one of its own, or one of Debian's."""
    packages: Callable[[Settings], tuple[str, ...]] = _nothing
    """The Debian packages that it needs."""
    asks: Callable[[Target], Request] = lambda _: Request()
    """What its plan has to know of the host beyond its files, unit and packages."""
    also_removed: Callable[[Settings], tuple[str, ...]] = _nothing
    """Further paths that a removal deletes."""
    leaves: Callable[[Settings], tuple[str, ...]] = _nothing
    """What is there beyond its files once it has run, for when the whole service goes: patterns."""
    knows_host_certificates: bool = False
    """Whether its files depend on the certificates of other hosts."""
    knows_processes: bool = False
    """Whether its files depend on how many processes app hosts have."""

    def set_name(self, settings: Settings) -> str:
        """Return the name of its set of files."""
        return f"{settings.name}-{self.name}"

    def marker(self, settings: Settings) -> str:
        """Return the file on a host by which it is known that the set was put there."""
        return FileSet(self.set_name(settings), ()).marker.path

    def on(self, target: Target) -> bool:
        """Tell whether a host may have it."""
        topology = target.settings.topology
        return any(target.host in getattr(topology, role) for role in self.roles)

    def request(self, target: Target) -> Request:
        """Return what to ask a host, to plan this part of it."""
        units = (self.unit(target.settings),) if self.unit else ()
        asked = Request(paths=(self.marker(target.settings),), units=units)
        if self.wanted(target):
            packages = Request(packages=self.packages(target.settings))
            asked += self.files(target).request() + packages + self.asks(target)
        return asked

    def removal(self, settings: Settings) -> FileSet:
        """Return the set that takes its files away, and stops its unit."""
        prepare: tuple[Command, ...] = ()
        if self.unit:
            # A unit that is gone already is as good as disabled.
            disable = "systemctl disable --quiet --now $1 || ! systemctl cat $1 >/dev/null 2>&1"
            prepare = (("sh", "-c", disable, "disable", self.unit(settings)),)
        return FileSet(
            self.set_name(settings), (), absent=self.also_removed(settings), prepare=prepare
        )
