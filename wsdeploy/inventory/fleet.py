"""Read an inventory file without pyinfra, for tests and tools that look at a deployed fleet."""

from __future__ import annotations

import os
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from wsdeploy import command_line
from wsdeploy.inventory.clusters import Cluster
from wsdeploy.inventory.groups import ROLES
from wsdeploy.inventory.project import Project
from wsdeploy.settings import Settings, SettingsError


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

    Raises SettingsError for mistakes in it, and ValueError if it has no hosts of ours.
    """
    match read(path):
        case Fleet() as fleet:
            return fleet
        case Cluster():
            raise ValueError(f"{path} has a cluster and no hosts; give an inventory of hosts")
        case Project() as project:
            title = project.platform.title
            raise ValueError(f"{path} is for {title} and has no hosts; give an inventory of hosts")


def read(path: str | os.PathLike[str]) -> Fleet | Cluster | Project:
    """Run an inventory file and return what it describes.

    Raises SettingsError for mistakes in it, and ValueError if it describes nothing of ours.
    """
    try:
        variables = runpy.run_path(str(Path(path).resolve()))
    except SettingsError as error:
        raise SettingsError(str(path), error.problems) from None
    # One that has two names is one.
    found = {id(each): each for each in map(_of_this_machine, variables.values()) if each}
    has_hosts = any(_has_settings(variables.get(role)) for role in ROLES)
    if len(found) + has_hosts > 1:
        raise ValueError(command_line.several(str(path)))
    for each in found.values():
        return each
    return _fleet(path, variables)


def _of_this_machine(value: object) -> Cluster | Project | None:
    """Return what a group describes that has no hosts; None if it is another group, or none."""
    match value:
        case ([_], {"cluster": Cluster() as cluster}):
            return cluster
        case ([_], {"platform": Project() as project}):
            return project
    return None


def _has_settings(group: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(group, tuple) and "settings" in group[-1]


def _fleet(path: str | os.PathLike[str], variables: dict[str, Any]) -> Fleet:
    found: dict[str, dict[str, Any]] = {}
    roles: dict[str, list[str]] = {}
    settings = None
    for role in ROLES:
        group = variables.get(role)
        if not _has_settings(group):
            continue
        settings = group[1]["settings"]
        for entry in group[0]:
            name, own = (entry, {}) if isinstance(entry, str) else entry
            found[name] = found.get(name, {}) | group[1] | own
            roles.setdefault(name, []).append(role)
    if settings is None:
        raise ValueError(f"{path} has no groups; say app, proxy = hosts(settings, app=[...])")
    return Fleet(settings, tuple(Host(n, tuple(roles[n]), data) for n, data in found.items()))
