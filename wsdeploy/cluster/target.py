"""A cluster that is planned for: the settings, the release, and every number that follows."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from wsdeploy.cluster import startup
from wsdeploy.plan.capacity.model import APP_CLIENT, APP_PROCESS, FREE, MIB, TCP_SOCKET
from wsdeploy.plan.host.limits import CLOSE_TIMEOUT, STOP_REST, idle_timeout
from wsdeploy.settings import Settings
from wsdeploy.settings.cluster import Kubernetes

IMAGE_PULL = 300
"""Seconds that a node may take to fetch the image, before a rollout counts as stuck."""

PROBE_GRACE = 5
"""Seconds that a pod has to end before it is killed, if it hangs or never takes a WebSocket.
Without its own, a probe takes the pod's, and a hung process would stay for the whole drain: with
3 s it was restarted after 11 s."""

STARTUP = 12 * MIB
"""Memory of the startup probe, which is the pod's own, too, while it has no clients."""

SHARE_BEFORE_SCALING = 0.7
"""Share of `max_connections` that pods hold on average before there is one more. Until it is ready,
within a minute, the others can take two fifths more."""


@dataclass(frozen=True)
class ClusterTarget:
    """A service in a cluster, with all that its objects are made from."""

    settings: Settings
    kubernetes: Kubernetes
    release: str
    """The ID of the release."""
    main: str
    """What Python runs if there is no command, relative to the release."""
    base: str
    """The digest of what the image is built on: `sha256:…`."""
    digest: str | None = None
    """The digest of the image in its registry, if that is known."""

    @property
    def name(self) -> str:
        """The name of the service, and of most of its objects."""
        return self.settings.name

    @property
    def namespace(self) -> str:
        """The namespace of its objects."""
        return self.kubernetes.namespace

    @property
    def image(self) -> str:
        """The image that pods run. Its tag says what is in it: release, base and the rest."""
        settings, kubernetes = self.settings, self.kubernetes
        rest = (
            startup.digest(),
            self.name,
            self.main,
            settings.app.command and [*settings.app.command],
            settings.app.port,
            kubernetes.address,
            kubernetes.image.interpreter,
            kubernetes.image.architecture,
        )
        return f"{kubernetes.image.repository}:{tag(self.release, self.base, digest(rest))}"

    @property
    def pinned_image(self) -> str:
        """The image as pods name it: with its digest, of which nobody can make another image."""
        return f"{self.image}@{self.digest}" if self.digest else self.image

    @property
    def folder(self) -> str:
        """The release's folder in the image, the same as on a host."""
        return f"/srv/{self.name}/releases/{self.release}"

    @property
    def data(self) -> str:
        """The folder that is the app's home. It ends with the pod."""
        return f"/var/lib/{self.name}"

    @property
    def stop_limit(self) -> int:
        """Seconds after SIGTERM by which the app is certainly gone."""
        return stop_limit(self.settings, self.kubernetes)

    @property
    def grace(self) -> int:
        """Seconds from the order to end until a pod is killed: the preStop hook counts, too."""
        return self.kubernetes.pre_stop + self.stop_limit

    @property
    def idle(self) -> int:
        """Seconds without traffic after which a proxy gives a connection up, as on a host."""
        return idle_timeout(self.settings.app)

    @property
    def pods_at_once(self) -> int:
        """Pods for which a proxy needs places: twice as many may be there while they drain."""
        most = self.kubernetes.most
        return most + max(most, self.settings.hosts_at_once)

    @property
    def memory(self) -> int:
        """MiB of memory of a pod: a process, its clients, and a tenth that stays free.

        The kernel's part of a connection counts as the pod's, too.
        """
        if self.kubernetes.memory is not None:
            return self.kubernetes.memory
        client = APP_CLIENT[self.settings.app.compression] + TCP_SOCKET
        used = APP_PROCESS + max(self.settings.max_connections * client, STARTUP)
        return math.ceil(used / (1 - FREE) / MIB)

    @property
    def connections_before_scaling(self) -> int:
        """Connections of a pod on average above which there is one more."""
        return max(1, math.floor(self.settings.max_connections * SHARE_BEFORE_SCALING))


def stop_limit(settings: Settings, kubernetes: Kubernetes) -> int:
    """Return the seconds after SIGTERM by which the app is certainly gone, as on a host."""
    drain = math.ceil(max(settings.app.drain, 1))
    return kubernetes.settle + drain + CLOSE_TIMEOUT + STOP_REST


def digest(values: Sequence[object]) -> str:
    """Return what tells apart what an image depends on beside its release and base."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def tag(release: str, base: str, rest: str) -> str:
    """Return the tag of an image: the release's ID, and first digits of two digests.

    base, rest: the digests of what it is built on, and of all else that it depends on.

    >>> tag("0123456789ab", "sha256:fedcba9876543210", "00112233445566")
    '0123456789ab-fedcba987654-001122'
    """
    return f"{release}-{base.removeprefix('sha256:')[:12]}-{rest[:6]}"
