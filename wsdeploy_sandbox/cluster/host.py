"""A sandbox host that is a cluster: booted, with the stand-in and a registry on it.

    from wsdeploy_sandbox.cluster import host

    cluster = host.up("k8s")
    kubernetes = Kubernetes(image=cluster.image("ws"), context="k8s", ...)
    service = pods(settings, cluster.prepare(settings, kubernetes))

All here raises SandboxError, whose text is one clear line.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsdeploy.settings import CertFiles, Settings
from wsdeploy.settings.cluster import HTTPRoute, Image, Kubernetes, LoadBalancer
from wsdeploy_sandbox import prerequisites, ssh, state
from wsdeploy_sandbox.base import Layer
from wsdeploy_sandbox.cluster import envoy, images, registry, wheels
from wsdeploy_sandbox.command import run
from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.host import SandboxHost
from wsdeploy_sandbox.lifecycle import up as boot

LAYER = Layer(
    (
        "podman", "crun", "netavark", "aardvark-dns", "catatonit", "docker-registry", "nftables",
        "openssl", "python3",
    ),
    disabled=(
        "docker-registry.service", "podman.socket", "podman.service", "podman-restart.service",
        "podman-auto-update.timer",
    ),
)  # fmt: skip
"""What a node is made of: Debian 13 has podman 5.4, the first one that runs in such hosts."""

ENDPOINT_DELAY = 2.0
"""Seconds until proxies know of a pod that has come or goes."""
VERSION = "1.37.0"
"""The Kubernetes that the stand-in follows."""
READY = 60.0
"""Seconds in which the stand-in is up; it takes two."""

PROGRAM = "usr/local/lib/cluster"
UNIT = f"""[Unit]
Description=Stand-in for a Kubernetes cluster

[Service]
WorkingDirectory=/{PROGRAM}
ExecStart=/usr/bin/python3 -m wsdeploy_sandbox.cluster {{address}} {{name}} /{PROGRAM} {{delay}}
# Containers have no groups of their own.
KillMode=process
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
"""
CONTAINERS = """[containers]
# A host of systemd-nspawn has no keyrings, and no controllers of version 2.
keyring = false
cgroups = "disabled"
[engine]
events_logger = "none"
"""
REGISTRIES = """[[registry]]
location = "{registry}"
insecure = true
"""
REGISTRY = """version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: /var/lib/docker-registry
http:
  addr: :5000
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster of one node."""

    host: SandboxHost

    @property
    def registry(self) -> str:
        """The registry, as both this machine and the node know it."""
        return f"{self.host.domain}:5000"

    @property
    def kubeconfig(self) -> Path:
        """The file by which kubectl reaches it; its context is the host's name."""
        return state.HOSTS / self.host.name / "kubeconfig"

    @property
    def root(self) -> Path:
        """The node's files."""
        return state.HOSTS / self.host.name / "root"

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API, and return its answer; None if what is asked for is not there."""
        config = json.loads(self.kubeconfig.read_text())
        context = ssl.create_default_context(cadata=(self.root / PROGRAM / "ca.pem").read_text())
        request = urllib.request.Request(  # noqa: S310 - https, as it is written here
            config["clusters"][0]["cluster"]["server"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {config['users'][0]['user']['token']}",
                "Content-Type": "application/json",
            },
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise SandboxError(f"{method} {path}: {error.read().decode()}") from None

    def shell(self, command: str) -> str:
        """Run a shell command on the node as root, and return what it prints."""
        return run(*ssh.command("root", self.host.address, command, batch=True))

    def ensure(self, plural: str, value: dict[str, Any]) -> None:
        """Make an object, unless there is one of its name."""
        namespace, version = value["metadata"].get("namespace"), value["apiVersion"]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        place = f"{group}/{f'namespaces/{namespace}/' if namespace else ''}{plural}"
        if self.request("GET", f"{place}/{value['metadata']['name']}") is None:
            self.request("POST", place, value)

    def certificate(self) -> CertFiles:
        """Return a certificate for the host's domain, and its key, after making them once."""
        folder, domain = state.HOSTS / self.host.name, self.host.domain
        pair = CertFiles(f"{folder}/{domain}.pem", f"{folder}/{domain}.key")
        if not Path(pair.key).exists():
            text = self.shell(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                f"-days 90 -subj /CN={domain} -addext subjectAltName=DNS:{domain} "
                "-keyout /dev/stdout 2>/dev/null"
            )
            begin = text.index("-----BEGIN CERTIFICATE-----")
            Path(pair.certificate).write_text(text[begin:])
            Path(pair.key).write_text(text[:begin])
        return pair

    def image(self, name: str) -> Image:
        """Return an image of an app for this cluster, on a base of Debian's packages."""
        base = str(images.rootfs(images.PYTHON))
        return Image(f"{self.registry}/{name}", rootfs=base, registry="http")

    def haproxy(self) -> str:
        """Return the image of Debian's HAProxy, by digest, after pushing it to the registry."""
        built = images.haproxy(f"{self.registry}/haproxy")
        if registry.served(built.name) != built.digest:
            registry.push(built)
        return f"{built.name}@{built.digest}"

    def prepare(self, settings: Settings, kubernetes: Kubernetes) -> Kubernetes:
        """Make what a service's cluster has to have: a namespace, and a Secret for TLS.

        For an HTTPRoute with policies="envoy", also its Gateway, and Envoy.

        From now on, this process and those that it starts find kubectl, and kubectl finds the
        cluster. Returns what was given.
        """
        os.environ["KUBECONFIG"] = str(self.kubeconfig)
        programs = str(Path(sys.executable).parent)
        if programs not in os.get_exec_path():
            os.environ["PATH"] = os.pathsep.join((programs, *os.get_exec_path()))
        namespace, way_in = kubernetes.namespace, kubernetes.way_in
        head = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        self.ensure("namespaces", head)
        if isinstance(way_in, LoadBalancer):
            secret = way_in.secret or f"{settings.name}-tls"
            self.ensure("secrets", tls_secret(namespace, secret, self.certificate()))
        elif isinstance(way_in, HTTPRoute) and way_in.policies == "envoy":
            self._bring_envoy()
            owner = way_in.gateway_namespace or namespace
            head = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": owner}}
            self.ensure("namespaces", head)
            secret = f"{way_in.gateway}-tls"
            self.ensure("secrets", tls_secret(owner, secret, self.certificate()))
            self.ensure("gateways", gateway(owner, way_in, secret))
        return kubernetes

    def _bring_envoy(self) -> None:
        """Put Envoy where the stand-in looks for it."""
        program, there = wheels.envoy(), self.root / PROGRAM / "envoy"
        if not there.exists() or there.stat().st_size != program.stat().st_size:
            aside = there.with_suffix(".new")
            shutil.copy(program, aside)
            aside.replace(there)


def tls_secret(namespace: str, name: str, pair: CertFiles) -> dict[str, Any]:
    """Return a Secret of a certificate and its key."""
    files = {"tls.crt": pair.certificate, "tls.key": pair.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {key: Path(path).read_text() for key, path in files.items()},
    }


def gateway(namespace: str, way_in: HTTPRoute, secret: str) -> dict[str, Any]:
    """Return the Gateway that a service's routes name: HTTP, and TLS with a Secret's certificate.

    It lets in routes of all namespaces.
    """
    allowed = {"namespaces": {"from": "All"}}
    tls = {"mode": "Terminate", "certificateRefs": [{"name": secret}]}
    listeners: list[dict[str, Any]] = [
        {"name": way_in.listener or "https", "protocol": "HTTPS", "port": 443, "tls": tls}
    ]
    if way_in.http_listener is not None:
        listeners.append({"name": way_in.http_listener, "protocol": "HTTP", "port": 80})
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": way_in.gateway, "namespace": namespace},
        "spec": {
            "gatewayClassName": envoy.CLASS,
            "listeners": [it | {"allowedRoutes": allowed} for it in listeners],
        },
    }


def up(name: str, delay: float = ENDPOINT_DELAY) -> Cluster:
    """Bring a cluster up, and return it. One that runs is left alone.

    delay: seconds until proxies know of changed endpoints.
    """
    cluster = Cluster(boot(f"{name}:{images.SUITE}", layer=LAYER)[0])
    if not shutil.which("skopeo"):
        # What deploys to clusters pushes images with it.
        with state.lock():
            prerequisites.install(["skopeo"])
    if not _is_current(cluster):
        _install(cluster, delay)
    end = time.monotonic() + READY
    while True:
        try:
            cluster.request("GET", "/version")
        except OSError as error:
            if time.monotonic() > end:
                raise SandboxError(f"{name}: the stand-in does not come up: {error}") from None
            time.sleep(0.1)
        else:
            return cluster


def _program() -> dict[str, str]:
    """Return the files of the stand-in, by path."""
    here = Path(__file__).parent
    files = {f"wsdeploy_sandbox/cluster/{it.name}": it.read_text() for it in here.glob("*.py")}
    return {**files, "wsdeploy_sandbox/__init__.py": ""}


def schemas() -> dict[str, Any]:
    """Return Kubernetes' schemas by their names; nothing where they are not installed."""
    if (found := importlib.util.find_spec("kubernetes_validate")) is None or not found.origin:
        return {}
    place = f"kubernetes-json-schema/v{VERSION}-local-strict/_definitions.json"
    text = json.loads(Path(found.origin).parent.joinpath(place).read_text())
    schemas: dict[str, Any] = text["$defs"]
    return schemas


def _digest() -> str:
    return hashlib.sha256(json.dumps(_program(), sort_keys=True).encode()).hexdigest()


def _is_current(cluster: Cluster) -> bool:
    mark = cluster.root / PROGRAM / "digest"
    return cluster.kubeconfig.exists() and mark.exists() and mark.read_text() == _digest()


def _install(cluster: Cluster, delay: float) -> None:
    host, root = cluster.host, cluster.root
    for path, text in _program().items():
        file = root / PROGRAM / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    unit = UNIT.format(address=host.address, name=host.name, delay=delay)
    (root / "etc/systemd/system/cluster.service").write_text(unit)
    (root / "etc/containers").mkdir(exist_ok=True)
    (root / "etc/containers/containers.conf").write_text(CONTAINERS)
    insecure = REGISTRIES.format(registry=cluster.registry)
    (root / "etc/containers/registries.conf.d").mkdir(exist_ok=True)
    (root / "etc/containers/registries.conf.d/sandbox.conf").write_text(insecure)
    (root / "etc/docker/registry/config.yml").write_text(REGISTRY)
    (root / PROGRAM / "schemas.json").write_text(json.dumps(schemas()))
    token = secrets.token_hex(16)
    (root / PROGRAM / "token").write_text(token)
    cluster.shell(
        f"cd /{PROGRAM} && umask 077 && openssl req -x509 -newkey ec "
        "-pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 "
        f"-subj /CN=cluster -addext subjectAltName=IP:{host.address} "
        "-keyout server.pem -out ca.pem 2>/dev/null && cat ca.pem >>server.pem && "
        "systemctl daemon-reload && systemctl enable --quiet docker-registry cluster && "
        "systemctl restart docker-registry cluster"
    )
    config = _kubeconfig(cluster, token)
    with open(os.open(cluster.kubeconfig, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as it:
        json.dump(config, it)
    (root / PROGRAM / "digest").write_text(_digest())


def _kubeconfig(cluster: Cluster, token: str) -> dict[str, Any]:
    name, authority = cluster.host.name, (cluster.root / PROGRAM / "ca.pem").read_text()
    server = f"https://{cluster.host.address}:6443"
    at = {"server": server, "certificate-authority-data": _encoded(authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": at}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()
