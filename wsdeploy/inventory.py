"""Read an inventory file without pyinfra, for tests and tools that look at a deployed fleet."""

from __future__ import annotations

import os
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsdeploy.settings import Settings
from wsdeploy.settings.fleet import ROLES, Hosts


@dataclass(frozen=True)
class Host:
    """A host of a fleet: its name, its roles and pyinfra's data for it."""

    name: str
    roles: tuple[str, ...]
    data: Mapping[str, Any]

    @property
    def address(self) -> str:
        """Where SSH, and clients of a proxy, reach it."""
        return str(self.data.get("ssh_hostname", self.name))


@dataclass(frozen=True)
class Fleet:
    """What an inventory file describes."""

    settings: Settings
    hosts: tuple[Host, ...]

    def with_role(self, role: str) -> tuple[Host, ...]:
        """Return the hosts in a group, in the file's order."""
        return tuple(host for host in self.hosts if role in host.roles)


def load(path: str | os.PathLike[str]) -> Fleet:
    """Run an inventory file and return its fleet.

    Raises SettingsError for mistakes in it, and ValueError if it has no groups of our settings.
    """
    variables = runpy.run_path(str(Path(path).resolve()))
    found: dict[str, dict[str, Any]] = {}
    roles: dict[str, list[str]] = {}
    settings = None
    for role in ROLES:
        group = variables.get(role)
        if not (isinstance(group, tuple) and isinstance(group[0], Hosts)):
            continue
        settings = group[0].settings
        for entry in group[0]:
            name, own = (entry, {}) if isinstance(entry, str) else entry
            found[name] = found.get(name, {}) | group[1] | own
            roles.setdefault(name, []).append(role)
    if settings is None:
        raise ValueError(f"{path} has no group that was made by settings.group(...)")
    return Fleet(settings, tuple(Host(n, tuple(roles[n]), data) for n, data in found.items()))
