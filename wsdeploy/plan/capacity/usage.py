"""What a deployed host has, and what its service takes of it now. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

SEEN_LEAST = 200
"""Clients from which on processor time is divided by them: below, what does not depend on clients
would count most."""


@dataclass(frozen=True)
class Use:
    """What the app's processes, or the proxy's, take on a host now."""

    processes: int
    clients: int
    memory: int
    """Bytes."""
    cores: float
    """Processors that they keep busy."""
    files: int
    """Open files that each may have."""

    @property
    def cores_per_client(self) -> float | None:
        """Processor time for a client, in seconds a second, or None if there are too few."""
        return self.cores / self.clients if self.clients >= SEEN_LEAST else None


@dataclass(frozen=True)
class Measured:
    """What a host answers: what it has, and what its service takes now (wshost.survey.capacity)."""

    limits: Mapping[str, int]
    """As in a survey."""
    available: int
    """Bytes of memory that are not in use."""
    files: tuple[int, int]
    """Open files of the whole host, and the most."""
    ports: int
    """Source ports for connections to one address and port."""
    tracked: tuple[int, int] | None
    """Connections that its packet filter tracks, and the most; None without any."""
    app: Use | None
    proxy: Use | None
    internal: Use | None = None
    """The TLS listener of an app host (internal_tls)."""
    app_processes: Mapping[str, int] = field(default_factory=dict)
    """As in a survey."""

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Measured:
        """Read the answer of the host's program."""
        uses = {kind: use and Use(**use) for kind, use in answer["uses"].items()}
        tracked = answer["tracked"]
        return cls(
            limits=answer["limits"],
            available=answer["available"],
            files=tuple(answer["files"]),
            ports=answer["ports"],
            tracked=None if tracked is None else tuple(tracked),
            app=uses.get("app"),
            proxy=uses.get("proxy"),
            internal=uses.get("internal"),
        )

    @property
    def uses(self) -> list[Use]:
        """What of it runs on this host."""
        return [use for use in (self.app, self.proxy, self.internal) if use]

    @property
    def cores_per_client(self) -> float | None:
        """The same for all that runs on this host, or None if it is not known of each."""
        each = [use.cores_per_client for use in self.uses]
        known = [it for it in each if it is not None]
        return sum(known) if known and len(known) == len(each) else None

    @property
    def clients(self) -> int:
        """How many clients the host has now."""
        return max((use.clients for use in self.uses), default=0)

    def target(self, settings: Settings, host: str) -> Target:
        """Return the host, with what its limits are derived from."""
        survey = Survey(limits=self.limits, app_processes=self.app_processes)
        return Target(settings, host, survey)
