"""What an image is made of: a release of the app, on a base."""

from __future__ import annotations

from pathlib import Path

from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.image import base
from wsdeploy.plan.host.survey import DEBIAN_PYTHON, Survey
from wsdeploy.release import contents
from wsdeploy.release.contents import Release
from wsdeploy.settings import Settings
from wsdeploy.settings.cluster import Image, Kubernetes


def release(settings: Settings, image: Image) -> Release:
    """Return the release for an image, the same as for a host of that kind."""
    python = image.python or DEBIAN_PYTHON[image.debian]
    system = {"version": image.debian, "architecture": image.architecture, "python": python}
    return contents.release(settings, Survey(system=system))


def base_digest(image: Image) -> str:
    """Return the digest of what an image is built on: `sha256:…`."""
    if image.base is not None:
        return image.base.rpartition("@")[2]
    assert image.rootfs is not None
    return base.file_digest(Path(image.rootfs))


def target(settings: Settings, kubernetes: Kubernetes) -> ClusterTarget:
    """Return what is planned for a cluster: the settings, with the release as it is here now."""
    wanted = release(settings, kubernetes.image)
    digest = base_digest(kubernetes.image)
    return ClusterTarget(settings, kubernetes, wanted.id, wanted.main, digest)
