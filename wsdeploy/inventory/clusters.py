"""A cluster in an inventory, and what is checked of it on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsdeploy import command_line
from wsdeploy.inventory import local_files
from wsdeploy.inventory.groups import Group, template_problems
from wsdeploy.inventory.project import MACHINE
from wsdeploy.settings.app import App
from wsdeploy.settings.cluster import Image, Kubernetes
from wsdeploy.settings.section import Problem, refused
from wsdeploy.settings.service import Settings, SettingsError

ELSEWHERE = {
    "wsdeploy.capacity": "Prometheus and the pods' own metrics say how many clients they hold",
    "wsdeploy.certificates": "its certificates are in Secrets",
}
"""Commands for hosts alone, and what says the same of a cluster."""


@dataclass(frozen=True)
class Cluster:
    """A service in a cluster, as an inventory file describes it."""

    settings: Settings
    kubernetes: Kubernetes

    def notes(self) -> list[str]:
        """Return a line for each setting that does less in a cluster than on hosts."""
        from wsdeploy.cluster import keeping  # noqa: PLC0415

        return [*keeping.notes(self.settings, self.kubernetes)]

    def to_json(self) -> dict[str, Any]:
        """Return what `pyinfra INVENTORY debug-inventory` shows."""
        return {"settings": self.settings.to_json(), "kubernetes": self.kubernetes.to_json()}


def pods(settings: Settings, kubernetes: Kubernetes) -> Group:
    """Return the group of an inventory for a cluster: this machine, whose kubectl talks to it.

    Raises SettingsError with every problem of the settings, of the files that they name, and of
    what a cluster can't keep.
    """
    # Only inventories for clusters have to wait for it.
    from wsdeploy.cluster import keeping  # noqa: PLC0415

    name = command_line.inventory(sys.argv[1:]) or "inventory"
    for command, way in ELSEWHERE.items():
        if command in sys.argv[1:]:
            raise SystemExit(f"{name} is for a cluster, and {command} for hosts; {way}")
    found = [
        *settings.all_problems(),
        *(problem.inside("kubernetes") for problem in kubernetes.all_problems()),
    ]
    if command_line.deploys(sys.argv[1:]):
        found += _file_problems(settings, kubernetes)
        found += template_problems()
    # What is wrong in itself is said once.
    known = {problem.setting for problem in found}
    found += [it for it in keeping.problems(settings, kubernetes) if it.setting not in known]
    if found:
        raise SettingsError(name, found)
    return [MACHINE], {"cluster": Cluster(settings, kubernetes)}


def _file_problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
    app, image = settings.app, kubernetes.image
    if isinstance(app, App):
        yield from local_files.app_problems(
            app, settings.tls, secrets=kubernetes.existing_secret is None and not _builds_image()
        )
    if isinstance(image, Image) and image.rootfs is not None:
        path = Path(image.rootfs)
        if not path.is_file():
            wanted = f"no such file in {Path.cwd()}; give one that exists"
            yield refused("kubernetes.image.rootfs", image.rootfs, wanted)
        elif not _is_plain_tar(path):
            wanted = "give a tar archive that is not compressed"
            yield refused("kubernetes.image.rootfs", image.rootfs, wanted)


def _builds_image() -> bool:
    """Tell whether this is `wsdeploy image`: no secret is in an image, nor in its name."""
    return sys.argv[1:2] == ["image"]


def _is_plain_tar(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(257)
        return file.read(5) == b"ustar"
