"""A Kubernetes cluster: where in it the service runs, from which image, and how clients come in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Literal

from wsdeploy.settings.names import is_placeholder
from wsdeploy.settings.section import Problem, Range, Section, refused

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL_WORDS = "give lower-case letters, digits and hyphens, at most 63"
NAME = re.compile(rf"{LABEL.pattern}(\.{LABEL.pattern})*")
NAME_WORDS = "give lower-case letters, digits, hyphens and dots"
# As registries have it: a host, perhaps with a port, and names of lower-case letters.
REPOSITORY = re.compile(
    r"[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+|[a-z0-9]+([._-]+[a-z0-9]+)*"
)
HAS_REGISTRY = re.compile(r"([^/]*[.:][^/]*|localhost)/")
"""As tools tell a registry from the first name of a repository at Docker Hub."""
BY_DIGEST = re.compile(rf"(?:{REPOSITORY.pattern})(?::[\w][\w.-]{{0,127}})?@sha256:[0-9a-f]{{64}}")
BY_DIGEST_WORDS = "give it by digest, such as docker.io/library/debian@sha256:…"
PLACE = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?|[0-9A-Fa-f:]+")
REPLICAS_MOST = 1000


class Image(Section):
    """The image that pods run: a release of the app on a base that you choose."""

    repository: str
    """Where it is pushed to and pulled from, without a tag: "registry.your-company.com/chat"."""
    base: str | None = None
    """The image that it is built on, with its digest, such as
    "docker.io/library/python:3.13-slim@sha256:…". Give this or `rootfs`."""
    rootfs: str | None = None
    """A root file system as an uncompressed tar archive on this machine, as mmdebstrap makes it;
    see docs/guides/kubernetes.md. Give this or `base`."""
    debian: Literal["12", "13"] = "13"
    """The Debian release of the base. Wheels are chosen for its C library."""
    python: str | None = None
    """The base's version of Python, such as "3.13"; None is the one that Debian packages."""
    interpreter: str = "/usr/bin/python3"
    """Path of Python in the base; in Docker's python images it is /usr/local/bin/python3."""
    architecture: Literal["x86_64", "aarch64"] = "x86_64"
    """Processor of the nodes that pods run on."""
    registry: Literal["https", "http"] | None = "https"
    """How its registry is talked to: "http" for one without TLS. None if there is no registry: a
    deployment then writes the image to a file, which is to be loaded on each node, and nodes pull
    nothing."""
    pull_secret: str | None = None
    """The Secret with the login that nodes pull the image with (kubernetes.io/dockerconfigjson);
    None is for a registry that lets them in, or that knows them."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if is_placeholder(self.repository.partition("/")[0].partition(":")[0]):
            yield refused("repository", self.repository, "that is a placeholder; give your own")
        elif not REPOSITORY.fullmatch(self.repository):
            wanted = (
                "give a repository without https:// and without a tag, such as "
                "registry.your-company.com/chat"
            )
            yield refused("repository", self.repository, wanted)
        elif self.registry is not None and not HAS_REGISTRY.match(self.repository):
            wanted = (
                "that means Docker Hub's; name the registry, as in registry.your-company.com/chat "
                "or docker.io/you/chat, or give registry=None"
            )
            yield refused("repository", self.repository, wanted)
        if self.base is None and self.rootfs is None:
            yield Problem("base", "missing; give base or rootfs")
        elif self.base is not None and self.rootfs is not None:
            yield Problem("base", "rootfs is given, too; leave out one of the two")
        if self.base is not None and not BY_DIGEST.fullmatch(self.base):
            yield refused("base", self.base, BY_DIGEST_WORDS)
        yield from _name_problems(self, ("pull_secret",))
        if self.python is not None and not re.fullmatch(r"3\.\d{1,2}", self.python):
            yield refused("python", self.python, 'give a version such as "3.13"')
        if not re.fullmatch(r"(/[A-Za-z0-9._+-]+)+", self.interpreter):
            yield refused("interpreter", self.interpreter, "give an absolute path")


class Replicas(Section):
    """A number of pods that follows the load."""

    least: Annotated[int, Range(1, REPLICAS_MOST)] = 2
    """Pods that are always there."""
    most: Annotated[int, Range(1, REPLICAS_MOST)] = 10
    """Pods at most."""
    by: Literal["cpu", "connections"] = "cpu"
    """What is measured: processor time, by a HorizontalPodAutoscaler, or connections, by KEDA from
    Prometheus. Connections are what a chat with few messages runs out of first."""
    prometheus: str | None = None
    """Where KEDA asks for connections, such as "http://prometheus.monitoring:9090"."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if self.most < self.least:
            yield refused("most", self.most, f"give at least {self.least}, as least is")
        if self.by == "connections" and self.prometheus is None:
            yield Problem("prometheus", "missing; KEDA asks it for the connections of all pods")
        if self.prometheus is not None and not re.fullmatch(r"https?://[^\s\"]+", self.prometheus):
            yield refused("prometheus", self.prometheus, "give an http:// or https:// address")


class Ingress(Section):
    """Clients come through an Ingress controller that the cluster has.

    Annotations are those of HAProxy's own controller (haproxytech/kubernetes-ingress).
    """

    class_name: str = "haproxy"
    """The IngressClass. Annotations of HAProxy are written only for "haproxy"."""
    namespace: str = "haproxy-controller"
    """The namespace of the controller's pods: only those may reach the app."""
    secret: str | None = None
    """The Secret with certificate and key (kubernetes.io/tls); None is NAME-tls."""
    issuer: str | None = None
    """The ClusterIssuer of cert-manager that fills that Secret; None leaves that to you."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """More annotations of the Ingress, such as those of another controller."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from _name_problems(self, ("class_name", "secret", "issuer"))
        yield from _label_problems(self, ("namespace",))


class HTTPRoute(Section):
    """Clients come through a Gateway (Gateway API) that the cluster has.

    The Gateway's listener has the certificate.
    """

    gateway: str
    """Name of the Gateway."""
    gateway_namespace: str | None = None
    """Its namespace; None is the service's own."""
    listener: str | None = "https"
    """Name of its listener for TLS; None attaches to all."""
    http_listener: str | None = "http"
    """Name of its listener on port 80, whose requests are sent to https://; None if it has none."""
    policies: Literal["envoy", "haproxy"] | None = None
    """The implementation whose own objects are written beside the route: "envoy" for Envoy Gateway
    1.8 or newer, whose default lets no more than 1,024 WebSockets through, "haproxy" for HAProxy
    Unified Gateway, whose default is round robin. None writes the route alone."""
    namespace: str | None = None
    """The namespace of the pods that proxy: only those may reach the app. None is
    envoy-gateway-system with "envoy", haproxy-unified-gateway with "haproxy", and else the
    Gateway's own, as with Istio, kgateway and NGINX."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from _name_problems(self, ("gateway", "listener", "http_listener"))
        yield from _label_problems(self, ("gateway_namespace", "namespace"))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the route lets through, as on hosts; none if it can't choose.

        Envoy Gateway is told to try a request again, and no other one may be done twice.
        """
        return ("GET", "HEAD") if self.policies == "envoy" else ()


class LoadBalancer(Section):
    """Clients come through HAProxy pods of the service's own, behind a LoadBalancer Service.

    They have the configuration that HAProxy has on hosts.
    """

    image: str
    """The image with HAProxy, with its digest: "docker.io/library/haproxy:3.0@sha256:…"."""
    replicas: Annotated[int, Range(1, 100)] = 2
    """HAProxy pods. The limits of `edge` count in each of them."""
    max_connections: Annotated[int, Range(1, 1_000_000)] | None = None
    """Clients of one HAProxy pod; None is all that the app's pods hold together."""
    # Clouds' balancers are slower than what is inside a cluster. AWS' NLB goes on for two minutes
    # after it was told (kubernetes-sigs/aws-load-balancer-controller#2366, and for up to 40 s after
    # failed checks, aws/containers-roadmap#470); those of GKE and AKS for some 10 s.
    pre_stop: Annotated[int, Range(1, 600, "a whole number of seconds")] = 180
    """Seconds for which an HAProxy pod that is to end still takes clients, until the load balancer
    sends none. Nobody waits for it: its clients may stay for longer anyway."""
    secret: str | None = None
    """The Secret with certificate and key (kubernetes.io/tls); None is NAME-tls."""
    issuer: str | None = None
    """The ClusterIssuer of cert-manager that fills that Secret, by DNS-01; None leaves that to
    you."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the Service, by which clouds are told what balancer to make."""
    dns_domain: str = "cluster.local"
    """The cluster's domain, by which HAProxy finds the app's pods."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not BY_DIGEST.fullmatch(self.image):
            yield refused("image", self.image, BY_DIGEST_WORDS)
        yield from _name_problems(self, ("secret", "issuer", "dns_domain"))


PROXIES = {"envoy": "envoy-gateway-system", "haproxy": "haproxy-unified-gateway"}
"""The namespaces of proxies as their own installation has them."""


class Kubernetes(Section):
    """A cluster, and what the service is in it. Kubernetes 1.34 or newer."""

    namespace: str
    """The namespace of the service. It has to exist."""
    image: Image
    """What pods run: `Image(...)`."""
    way_in: Ingress | HTTPRoute | LoadBalancer
    """How clients come in: `Ingress(...)`, `HTTPRoute(...)` or `LoadBalancer(...)`."""
    context: str | None = None
    """The context of kubectl's configuration; None is the current one."""
    replicas: Annotated[int, Range(1, REPLICAS_MOST)] | Replicas = 2
    """Pods, each with one process of the app: a number, or `Replicas(...)`, which follows the
    load."""
    reached_at: str | None = None
    """Where this machine reaches the way in, as "HOST" or "HOST:PORT", for the WebSocket at the end
    of each deployment; None is the address that the cluster gives it."""
    handshake: bool = True
    """Whether each deployment ends with a WebSocket through the way in, from this machine. A
    release that fails there is taken back."""
    existing_secret: str | None = None
    """A Secret of the namespace that has the app's secrets, by the names of their variables: from
    External Secrets, Sealed Secrets and the like. None is one of wsdeploy's, whose name changes
    with the values."""
    pre_stop: Annotated[int, Range(1, 300, "a whole number of seconds")] = 10
    """Seconds for which a pod that is to end goes on as before, until all proxies know. With
    endpoints that came 2 s late, a rolling update refused 303 of 879 handshakes at 0 s, 3 at 5 s
    and none at 10 s."""
    settle: Annotated[int, Range(0, 300, "a whole number of seconds")] = 0
    """Seconds after SIGTERM for which the app still takes connections, before its drain: for a
    cluster whose proxies need longer than `pre_stop`. Only wsapp does this."""
    cpu: Annotated[float, Range(0.01, 1, "cores")] = 0.25
    """Share of a core that is set aside for each pod. There is no limit, as one would stall the
    app's event loop; one process takes a core at most."""
    memory: Annotated[int, Range(32, 1_048_576, "a whole number of MiB")] | None = None
    """MiB of memory of each pod. None follows from `max_connections` and `app.compression`, by
    docs/operate/capacity.md, for an app that keeps little of its own."""
    storage: Annotated[int, Range(1, 1_048_576, "a whole number of MiB")] = 256
    """MiB of each folder that the app may write to: /tmp, /var/lib/NAME and `app.writable`. What is
    there ends with the pod."""
    address: Literal["0.0.0.0", "::"] = "0.0.0.0"  # noqa: S104
    """The address that the app listens on: "::" in a cluster with IPv6."""
    metrics_namespace: str | None = None
    """The namespace of Prometheus, which then may reach the app's metrics; it gets a PodMonitor."""
    mesh: Literal["istio", "linkerd"] | None = None
    """The service mesh whose proxy is put beside the app: as a sidecar of Kubernetes' own, which
    starts before the app and ends after its drain. Istio 1.27 or Linkerd 2.19, or newer."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from _label_problems(self, ("namespace", "metrics_namespace"))
        yield from _name_problems(self, ("existing_secret",))
        if self.reached_at is not None:
            found = PLACE.fullmatch(self.reached_at)
            if found is None or not 0 < int((found[2] or ":443")[1:]) < 65_536:
                wanted = 'give "HOST" or "HOST:PORT", with a port from 1 to 65535'
                yield refused("reached_at", self.reached_at, wanted)
        by_connections = isinstance(self.replicas, Replicas) and self.replicas.by == "connections"
        if by_connections and self.metrics_namespace is None:
            wanted = "missing; connections are counted by Prometheus, which has to reach the pods"
            yield Problem("metrics_namespace", wanted)

    @property
    def proxies(self) -> str | None:
        """The namespace of the pods that proxy; None if they are the service's own."""
        match self.way_in:
            case Ingress(namespace=namespace):
                return namespace
            case HTTPRoute() as route:
                own = route.gateway_namespace or self.namespace
                return route.namespace or PROXIES.get(route.policies or "", own)
        return None

    @property
    def own_gateway(self) -> bool:
        """Whether the Gateway is the service's to configure: it is in the same namespace.

        A ClientTrafficPolicy of Envoy Gateway has to be there, and holds for all routes.
        """
        route = self.way_in
        return isinstance(route, HTTPRoute) and route.gateway_namespace in (None, self.namespace)

    @property
    def least(self) -> int:
        """Pods that are always there."""
        return self.replicas if isinstance(self.replicas, int) else self.replicas.least

    @property
    def most(self) -> int:
        """Pods at most."""
        return self.replicas if isinstance(self.replicas, int) else self.replicas.most


def _name_problems(section: Section, names: tuple[str, ...]) -> Iterator[Problem]:
    for name in names:
        given = getattr(section, name)
        if given is not None and (len(given) > 253 or not NAME.fullmatch(given)):
            yield refused(name, given, NAME_WORDS)


def _label_problems(section: Section, names: tuple[str, ...]) -> Iterator[Problem]:
    for name in names:
        given = getattr(section, name)
        if given is not None and not LABEL.fullmatch(given):
            yield refused(name, given, LABEL_WORDS)
