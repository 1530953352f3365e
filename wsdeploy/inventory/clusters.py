"""A cluster in an inventory, and what is checked of it on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wsdeploy import command_line
from wsdeploy.inventory import local_files
from wsdeploy.inventory.groups import template_problems
from wsdeploy.settings.app import App
from wsdeploy.settings.cluster import Image, Kubernetes
from wsdeploy.settings.section import Problem, refused
from wsdeploy.settings.service import Settings, SettingsError


@dataclass(frozen=True)
class Cluster:
    """A service in a cluster, as an inventory file describes it. pyinfra takes it for no group."""

    settings: Settings
    kubernetes: Kubernetes


def pods(settings: Settings, kubernetes: Kubernetes) -> Cluster:
    """Return what an inventory for a cluster has in the place of `hosts`.

    Raises SettingsError with every problem of the settings, of the files that they name, and of
    what a cluster can't keep.
    """
    # Only inventories for clusters have to wait for it.
    from wsdeploy.cluster import keeping  # noqa: PLC0415

    found = [
        *settings.all_problems(),
        *(problem.inside("kubernetes") for problem in kubernetes.all_problems()),
        *_file_problems(settings, kubernetes),
        *template_problems(),
    ]
    # What is wrong in itself is said once.
    known = {problem.setting for problem in found}
    found += [it for it in keeping.problems(settings, kubernetes) if it.setting not in known]
    if found:
        raise SettingsError(command_line.inventory(sys.argv[1:]) or "inventory", found)
    return Cluster(settings, kubernetes)


def _file_problems(settings: Settings, kubernetes: Kubernetes) -> Iterator[Problem]:
    app, image = settings.app, kubernetes.image
    if isinstance(app, App):
        yield from local_files.app_problems(
            app, settings.tls, secrets=kubernetes.existing_secret is None
        )
    if isinstance(image, Image) and image.rootfs is not None:
        path = Path(image.rootfs)
        if not path.is_file():
            wanted = f"no such file in {Path.cwd()}; give one that exists"
            yield refused("kubernetes.image.rootfs", image.rootfs, wanted)
        elif not _is_plain_tar(path):
            wanted = "give a tar archive that is not compressed"
            yield refused("kubernetes.image.rootfs", image.rootfs, wanted)


def _is_plain_tar(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(257)
        return file.read(5) == b"ustar"
