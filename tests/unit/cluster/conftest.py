"""Services in clusters, and the objects that they have there."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wsdeploy import (
    Acme,
    App,
    HTTPRoute,
    Image,
    Ingress,
    Kubernetes,
    LoadBalancer,
    Settings,
)
from wsdeploy.cluster import objects as all_objects
from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.image import contents

DIGEST = f"sha256:{'a' * 64}"
IMAGE = Image("registry.a-company.com/chat", base=f"docker.io/library/python:3.13-slim@{DIGEST}")
HAPROXY = f"docker.io/library/haproxy:3.0@{DIGEST}"
WAYS: dict[str, Ingress | HTTPRoute | LoadBalancer] = {
    "ingress": Ingress(issuer="letsencrypt"),
    "route": HTTPRoute("public", policies="envoy"),
    "haproxy": LoadBalancer(HAPROXY, issuer="letsencrypt"),
    "haproxy's gateway": HTTPRoute("public", policies="haproxy"),
}

Plan = Callable[..., ClusterTarget]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with an app in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("print('one')\n")
    return tmp_path


@pytest.fixture
def plan() -> Plan:
    """A service in a cluster, but for what a test changes.

    app, settings: of the service; all else is the cluster's.
    """

    def make(
        way: str | Ingress | HTTPRoute | LoadBalancer = "ingress",
        app: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        **cluster: Any,
    ) -> ClusterTarget:
        given: dict[str, Any] = {"tls": Acme("ops@a-company.com")} | (settings or {})
        service = Settings("ws.a-company.com", App("app.py", **(app or {})), **given)
        way_in = WAYS[way] if isinstance(way, str) else way
        return contents.target(service, Kubernetes("chat", IMAGE, way_in, **cluster))

    return make


def every(target: ClusterTarget) -> list[Object]:
    """All objects of a service, Secrets with them."""
    secret = all_objects.secret(target)
    return [*([secret] if secret else []), *all_objects.objects(target)]


def one(target: ClusterTarget, kind: str, name: str = "") -> Object:
    """The object of a kind, and of a name if there are several."""
    found = [each for each in every(target) if each["kind"] == kind]
    (match,) = [each for each in found if name in ("", each["metadata"]["name"])]
    return match


def pod(target: ClusterTarget, name: str = "ws") -> Object:
    """What a Deployment's pods are."""
    found: Object = one(target, "Deployment", name)["spec"]["template"]["spec"]
    return found


def container(target: ClusterTarget, name: str = "ws") -> Object:
    """The only container of a Deployment's pods."""
    (found,) = pod(target, name)["containers"]
    return dict(found)


def strings(value: Any) -> Iterator[str]:
    """All texts of an object, keys with them."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value
