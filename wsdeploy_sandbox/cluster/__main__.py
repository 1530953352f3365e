"""The stand-in on its host: API, controllers, kubelet, network and Gateway in one process.

Arguments: the host's address, its name, the folder with server.pem and token, and how many seconds
endpoints take to reach proxies.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from wsdeploy_sandbox.cluster import controllers, podman
from wsdeploy_sandbox.cluster.api import Server
from wsdeploy_sandbox.cluster.gateway import Gateways
from wsdeploy_sandbox.cluster.kubelet import Kubelet
from wsdeploy_sandbox.cluster.network import Network
from wsdeploy_sandbox.cluster.store import Store


def main(address: str, name: str, folder: str, delay: str) -> None:
    """Serve until the host ends."""
    podman.prepare()
    store = Store()
    for each in ("default", "kube-system"):
        head = {"name": each, "labels": {"kubernetes.io/metadata.name": each}}
        status = {"phase": "Active"}
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": head, "status": status})
    store.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {
                "addresses": [{"type": "InternalIP", "address": address}],
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            },
        }
    )
    token = Path(folder, "token").read_text().strip()
    server = Server(address, Path(folder, "server.pem"), token, store)
    network = Network(store, address, float(delay))
    kubelet = Kubelet(store, name, address)
    gateways = Gateways(store, address, Path(folder), float(delay))
    parts: list[Callable[[], None]] = [
        lambda: controllers.run(store),
        network.run,
        kubelet.run,
        gateways.run,
    ]
    for part in parts:
        threading.Thread(target=_or_end, args=(part,), daemon=True).start()
    server.serve_forever()


def _or_end(part: Callable[[], None]) -> None:
    """Run a part; without it the rest would only look as if it worked."""
    with contextlib.suppress(BaseException):
        try:
            part()
        except BaseException:
            sys.excepthook(*sys.exc_info())
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
