"""A host that is planned for: its settings, its survey, and what it has to know of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from wsdeploy.plan.host import limits
from wsdeploy.plan.host.limits import Limits
from wsdeploy.plan.host.survey import Survey
from wsdeploy.settings import Settings

HostCertificates = Mapping[str, tuple[str, ...]]
"""The certificates of hosts, in PEM, by the hosts' names in the inventory."""


@dataclass(frozen=True)
class Target:
    """A host, with all that its plan is made from."""

    settings: Settings
    host: str
    """Its name in the inventory."""
    survey: Survey
    host_certificates: HostCertificates = field(default_factory=dict)
    """The certificates of the hosts of this run, for TLS between the tiers."""

    @classmethod
    def unknown(cls, settings: Settings, host: str) -> Target:
        """Return a host of which nothing is known yet, as when it is to be asked."""
        return cls(settings, host, Survey(bare=True))

    @property
    def name(self) -> str:
        """The name of the service."""
        return self.settings.name

    @property
    def is_app(self) -> bool:
        """Whether it runs the app."""
        return self.host in self.settings.topology.app

    @property
    def is_proxy(self) -> bool:
        """Whether clients come to it."""
        return self.host in self.settings.topology.proxy

    @property
    def listen_address(self) -> str:
        """The address that the app's TCP ports are bound to on it."""
        return self.settings.topology.listen_address(self.host)

    @cached_property
    def limits(self) -> Limits:
        """Its limits and time-outs."""
        return limits.derive(self.settings, self.survey, self.processes)

    @cached_property
    def processes(self) -> int:
        """How many processes of the app it has, if it is an app host."""
        return limits.processes(self.settings, self.survey)
