"""A Gateway on the host, played by Envoy: its files are kept up to date, and objects say so."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import time
from pathlib import Path

from wsdeploy_sandbox.cluster import envoy
from wsdeploy_sandbox.cluster.controllers import set_status
from wsdeploy_sandbox.cluster.envoy import Attachment
from wsdeploy_sandbox.cluster.rollout import condition
from wsdeploy_sandbox.cluster.store import Object, Store, now

FOLDER = Path("/run/envoy")
PROGRAM = "envoy"
"""The name of Envoy's file in the stand-in's folder, if the sandbox has brought it."""
UNIT = "envoy"
OPEN_FILES = 16_384
"""What a host has no right to raise ends at 20,000."""
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
ROUTE = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}


class Gateways:
    """Puts into effect what the store says of a Gateway, some seconds later.

    One Gateway is played: there is one address.
    """

    def __init__(self, store: Store, address: str, folder: Path, delay: float) -> None:
        self._store, self._address, self._delay = store, address, delay
        self._program = folder / PROGRAM
        self._written: dict[str, Object] = {}

    def run(self) -> None:
        """Follow the store, for ever."""
        # Of a stand-in before this one.
        subprocess.run(["systemctl", "stop", UNIT], capture_output=True, check=False)
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        known: dict[str, Object] = {}
        late: collections.deque[tuple[float, dict[str, Object]]] = collections.deque()
        seen = 0
        while True:
            timeout = late[0][0] - time.monotonic() if late else 1.0
            seen = self._store.wait(seen, max(0.0, min(1.0, timeout)))
            with self._store.lock:
                found = self._look()
            if found != known and self._program.exists():
                known = found
                late.append((time.monotonic() + self._delay, found))
            while late and late[0][0] <= time.monotonic():
                self._use(late.popleft()[1])

    def _look(self) -> dict[str, Object]:
        gateways = self._store.list("Gateway")
        for each in gateways:
            if each["spec"].get("gatewayClassName") == envoy.CLASS:
                write_status(self._store, each, self._address)
                return envoy.files(self._store, each, self._address, str(FOLDER))
        return {}

    def _use(self, found: dict[str, Object]) -> None:
        for name, content in found.items():
            if self._written.get(name) != content:
                write(FOLDER / f"{name}.json", content)
        if found and not self._written:
            write(FOLDER / "bootstrap.json", envoy.bootstrap(str(FOLDER)))
            self._start()
        elif self._written and not found:
            subprocess.run(["systemctl", "stop", UNIT], check=True)
        self._written = found

    def _start(self) -> None:
        unit = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}"]
        unit += [f"--property=LimitNOFILE={OPEN_FILES}", "--property=Restart=always"]
        options = ["--config-path", str(FOLDER / "bootstrap.json"), "--disable-hot-restart"]
        options += ["--log-level", "warning"]
        subprocess.run([*unit, str(self._program), *options], check=True)


def write(path: Path, content: Object) -> None:
    """Put a file in place at once: Envoy reads it when another one takes its name."""
    aside = path.with_suffix(".new")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file)
    aside.replace(path)


def write_status(store: Store, gateway: Object, address: str) -> None:
    """Say of a Gateway, of its routes and of their policies what has become of them."""
    routes = envoy.attachments(store, gateway)
    before = gateway.get("status", {})
    known = {it["name"]: it["conditions"] for it in before.get("listeners", ())}
    listeners = [
        {
            "name": it["name"],
            "supportedKinds": [ROUTE],
            "attachedRoutes": sum(it["name"] in each.listeners for each in routes),
            "conditions": _conditions(("Accepted", "Programmed"), known.get(it["name"], [])),
        }
        for it in gateway["spec"]["listeners"]
    ]
    status = {
        "addresses": [{"type": "IPAddress", "value": address}],
        "conditions": _conditions(("Accepted", "Programmed"), before.get("conditions", [])),
        "listeners": listeners,
    }
    set_status(store, gateway, status)
    for each in routes:
        _write_route_status(store, each)
    meta = gateway["metadata"]
    targets = {("Gateway", meta["namespace"], meta["name"])} | {
        ("HTTPRoute", it.route["metadata"]["namespace"], it.route["metadata"]["name"])
        for it in routes
    }
    ancestor = {"kind": "Gateway", "namespace": meta["namespace"], "name": meta["name"]}
    for kind in ("BackendTrafficPolicy", "ClientTrafficPolicy"):
        for value in store.list(kind):
            namespace = value["metadata"]["namespace"]
            references = value["spec"].get("targetRefs", ())
            if any((it["kind"], namespace, it["name"]) in targets for it in references):
                _write_policy_status(store, value, ancestor)


def _conditions(kinds: tuple[str, ...], before: list[dict[str, str]]) -> list[Object]:
    return [condition(kind, True, (kind, ""), now(), before) for kind in kinds]


def _write_route_status(store: Store, each: Attachment) -> None:
    # A route may name several listeners of a Gateway, each by a reference of its own.
    route = store.get(
        "HTTPRoute", each.route["metadata"]["namespace"], each.route["metadata"]["name"]
    )
    if route is None:
        return
    parents = route.get("status", {}).get("parents", [])
    old: list[dict[str, str]] = next(
        (it["conditions"] for it in parents if it["parentRef"] == each.parent), []
    )
    accepted = condition("Accepted", not each.problem, (each.problem or "Accepted", ""), now(), old)
    found = {
        "parentRef": each.parent,
        "controllerName": CONTROLLER,
        "conditions": [accepted, *_conditions(("ResolvedRefs",), old)],
    }
    others = [it for it in parents if it["parentRef"] in route["spec"]["parentRefs"]]
    kept = [it for it in others if it["parentRef"] != each.parent]
    order = route["spec"]["parentRefs"].index
    parents = sorted([*kept, found], key=lambda it: order(it["parentRef"]))
    set_status(store, route, {"parents": parents})


def _write_policy_status(store: Store, value: Object, ancestor: Object) -> None:
    ancestors = value.get("status", {}).get("ancestors", [])
    old: list[dict[str, str]] = ancestors[0]["conditions"] if ancestors else []
    found = {
        "ancestorRef": ancestor,
        "controllerName": CONTROLLER,
        "conditions": _conditions(("Accepted",), old),
    }
    set_status(store, value, {"ancestors": [found]})
