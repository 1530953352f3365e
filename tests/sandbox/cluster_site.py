"""A service on a throwaway cluster: its inventory, kubectl, and what its pods are at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.sandbox.site import CROWD, Site
from wsdeploy_sandbox.cluster.host import Cluster

KUBECTL = Path(sys.executable).with_name("kubectl")
NAMESPACE = "chat"
SECRET = "a-secret-of-31-letters-of-tests"
PATIENCE = 180
"""Seconds in which pods do what they are to do, on a busy machine."""

INVENTORY = """\
from wsdeploy import *
from wsdeploy_sandbox.cluster import host

cluster = host.up({name!r})
settings = Settings({settings})
service = pods(settings, cluster.prepare(settings, Kubernetes({kubernetes})))
"""


@dataclass
class ClusterSite(Site):
    """A site whose one host is a cluster."""

    cluster: Cluster = field(kw_only=True)
    kubernetes: dict[str, str] = field(default_factory=dict)

    def write(self, **changes: str) -> None:
        """Write the inventory; settings of Kubernetes begin with `kubernetes_`."""
        for name, source in changes.items():
            ours = name.startswith("kubernetes_")
            known = self.kubernetes if ours else self.settings
            known[name.removeprefix("kubernetes_")] = source
        settings, kubernetes = (
            ", ".join(f"{name}={source}" for name, source in given.items())
            for given in (self.settings, self.kubernetes)
        )
        text = INVENTORY.format(name=self.host.name, settings=settings, kubernetes=kubernetes)
        self.inventory.write_text(text)

    def kubectl(self, *words: str, code: int = 0) -> str:
        """Run kubectl in the service's namespace, and return what it says."""
        done = subprocess.run(
            [str(KUBECTL), f"--namespace={NAMESPACE}", *words],
            env=os.environ | {"KUBECONFIG": str(self.cluster.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        said = f"kubectl {' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        self.said.append(said)
        assert done.returncode == code, said
        return done.stdout + (done.stderr if code else "")

    def objects(self, kind: str, *words: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-o=json", *words))[
            "items"
        ]
        return found

    def pods(self, component: str = "app") -> list[dict[str, Any]]:
        """Return the pods of the app, or of another component, that are not about to end."""
        found = self.objects("pods", f"--selector=app.kubernetes.io/component={component}")
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def rolled_out(self, component: str = "ws") -> None:
        """Wait until all pods are of the present release."""
        timeout = f"--timeout={PATIENCE}s"
        self.kubectl("rollout", "status", f"deployment/{component}", timeout)

    def release(self, **changes: str) -> None:
        """Deploy, and wait until pods of before are gone."""
        self.deploy(**changes)
        self.until(lambda: not self.ending())

    def ending(self) -> list[str]:
        """Return the pods that are about to end."""
        found = self.objects("pods")
        return [it["metadata"]["name"] for it in found if "deletionTimestamp" in it["metadata"]]

    def until(self, condition: Callable[[], object], most: float = PATIENCE) -> None:
        """Ask until the answer is yes."""
        end = time.monotonic() + most
        while not condition():
            assert time.monotonic() < end, "it never became true"
            time.sleep(0.3)

    def in_pod(self, pod: dict[str, Any], program: str, container: str = "app") -> str:
        """Run a Python program in a pod's container, as its user, and return what it prints."""
        name = self.container(pod, container)
        return self.ssh(f"podman exec --interactive {name} /usr/bin/python3 -", text=program)

    def container(self, pod: dict[str, Any], container: str = "app") -> str:
        """Return the name that podman has for a pod's container."""
        found = pod["status"]["containerStatuses"]
        status = next(each for each in found if each["name"] == container)
        return str(status["containerID"].removeprefix("podman://"))

    def connections(self) -> dict[str, int]:
        """Return how many clients each pod of the app has from HAProxy."""
        counts = {}
        for pod in self.pods():
            address = pod["status"]["podIP"]
            pid = self.ssh(f"podman inspect --format '{{{{.State.Pid}}}}' {self.container(pod)}")
            listing = self.ssh(
                f"nsenter --target {pid.strip()} --net ss --no-header --numeric --tcp "
                f"state established src {address} sport = :8000"
            )
            counts[pod["metadata"]["name"]] = len(listing.splitlines())
        return counts


def make(cluster: Cluster, folder: Path, **settings: str) -> ClusterSite:
    """Return a site on a cluster, with its inventory written."""
    pair = cluster.certificate()
    site = ClusterSite(
        apps=[cluster.host],
        proxies=[cluster.host],
        user="root",
        folder=folder,
        settings={
            "domain": repr(cluster.host.domain),
            "app": 'App("files/app.py", drain=3, '
            f'secrets={{"TOKEN": FromCommand(["echo", "{SECRET}"])}})',
            "tls": "cluster.certificate()",
            "edge": CROWD,
            "max_connections": "1_000",
        }
        | settings,
        trusted=Path(pair.certificate),
        cluster=cluster,
        kubernetes={
            "namespace": repr(NAMESPACE),
            "context": repr(cluster.host.name),
            "image": 'cluster.image("ws")',
            "way_in": "LoadBalancer(cluster.haproxy(), replicas=1, "
            "max_connections=2_000, pre_stop=8)",
            "pre_stop": "8",
        },
    )
    site.write()
    return site
