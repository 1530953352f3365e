"""All objects of a service in a cluster: the one list. Pure but for templates and secrets."""

from __future__ import annotations

from collections.abc import Iterator

from wsdeploy.cluster import environment, network, pods, proxy, routes, scaling
from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.settings import secret_values
from wsdeploy.settings.cluster import HTTPRoute, Ingress, LoadBalancer, Replicas


def objects(target: ClusterTarget) -> Iterator[Object]:
    """Yield what the service has in the cluster, but for Secrets, in the order of applying.

    Raises SecretError for secrets that can't be read, and RenderError for a template of one's own.
    """
    kubernetes = target.kubernetes
    yield pods.service_account(target)
    yield pods.config_map(target)
    yield pods.service(target)
    yield pods.deployment(target)
    yield pods.disruption_budget(target)
    if target.settings.firewall is not False:
        yield network.policy(target)
    if kubernetes.metrics_namespace is not None:
        yield pods.pod_monitor(target)
    if isinstance(kubernetes.replicas, Replicas):
        yield scaling.autoscaler(target, kubernetes.replicas)
    match kubernetes.way_in:
        case Ingress() as way_in:
            yield routes.ingress(target, way_in)
        case HTTPRoute() as way_in:
            yield from routes.routes(target, way_in)
        case LoadBalancer() as way_in:
            yield from proxy.objects(target, way_in)


def secret(target: ClusterTarget) -> Object | None:
    """Return the Secret with the app's secrets; None if it has none, or another one is named.

    Its values are in it. Raises SecretError.
    """
    if not target.settings.app.secrets or target.kubernetes.existing_secret is not None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": pods.metadata(target, environment.secret_name(target)),
        "type": "Opaque",
        "immutable": True,
        "stringData": dict(sorted(secret_values.values(target.settings.app).items())),
    }


def needed_secrets(target: ClusterTarget) -> Iterator[tuple[Object, tuple[str, ...]]]:
    """Yield each Secret that has to be there before the service is, and the keys that it needs."""
    app, kubernetes, way_in = target.settings.app, target.kubernetes, target.kubernetes.way_in
    needed: dict[str, tuple[str, ...]] = {}
    if kubernetes.existing_secret is not None:
        needed[kubernetes.existing_secret] = tuple(sorted(app.secrets))
    if kubernetes.image.pull_secret is not None:
        needed[kubernetes.image.pull_secret] = (".dockerconfigjson",)
    if isinstance(way_in, Ingress | LoadBalancer) and way_in.issuer is None:
        needed[routes.secret(target)] = ("tls.crt", "tls.key")
    for name, keys in needed.items():
        metadata = {"name": name, "namespace": target.namespace}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}, keys


def missing_secrets(target: ClusterTarget) -> Iterator[str]:
    """Yield a line for each Secret that is used and not among the objects.

    Raises SecretError.
    """
    settings, kubernetes = target.settings, target.kubernetes
    if settings.app.secrets:
        names = ", ".join(sorted(settings.app.secrets))
        yield f"Secret {environment.secret_name(target)} has to be there, with {names}"
    if kubernetes.image.pull_secret is not None:
        yield f"Secret {kubernetes.image.pull_secret} has to be there, with .dockerconfigjson"
    way_in = kubernetes.way_in
    if isinstance(way_in, Ingress | LoadBalancer) and way_in.issuer is None:
        yield f"Secret {routes.secret(target)} has to be there, with tls.crt and tls.key"
