"""How Services reach pods: addresses by nftables, names by a small DNS server; both are late."""

from __future__ import annotations

import collections
import contextlib
import ipaddress
import itertools
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wsdeploy_sandbox.cluster.podman import DNS, DOMAIN, GATEWAY, SUBNET
from wsdeploy_sandbox.cluster.store import Object, Store

SERVICES = "10.96.0.0/16"
TABLE = "services"
TTL = 2
"""Seconds for which an answer holds; CoreDNS says 5."""
A, AAAA, OPT = 1, 28, 41
PLAIN_SIZE = 512
"""Bytes of an answer to who has not said that more fit."""


@dataclass(frozen=True)
class Route:
    """A port of a Service, and where it leads."""

    addresses: tuple[str, ...]
    """Of the Service itself."""
    port: int
    targets: tuple[tuple[str, int], ...]
    """Addresses and ports of pods."""


@dataclass(frozen=True)
class View:
    """What the network knows of Services and pods."""

    routes: tuple[Route, ...]
    names: Mapping[str, tuple[str, ...]]
    """Addresses of names, without a dot at the end."""


def view(store: Store, node: str) -> View:
    """Return what the network is to know, from Services and EndpointSlices."""
    routes, names = [], {}
    for service in store.list("Service"):
        meta, spec = service["metadata"], service["spec"]
        name = f"{meta['name']}.{meta['namespace']}.svc.{DOMAIN}"
        found = store.get("EndpointSlice", meta["namespace"], f"{meta['name']}-endpoints") or {}
        endpoints = found.get("endpoints", [])
        if spec["clusterIP"] == "None":
            names[name] = tuple(sorted(a for it in usable(endpoints) for a in it["addresses"]))
            continue
        names[name] = (spec["clusterIP"],)
        own = (spec["clusterIP"], *((node,) if spec["type"] == "LoadBalancer" else ()))
        # Where none is ready, those that end are better than nothing.
        to = [*usable(endpoints)] or [it for it in endpoints if it["conditions"]["serving"]]
        for port, its in zip(spec["ports"], found.get("ports", ()), strict=False):
            targets = ((a, its["port"]) for it in to for a in it["addresses"])
            routes.append(Route(own, port["port"], tuple(sorted(targets))))
    return View(tuple(routes), names)


def usable(endpoints: list[Object]) -> Iterator[Object]:
    """Yield the endpoints that get new connections."""
    return (each for each in endpoints if each["conditions"]["ready"])


def rules(routes: tuple[Route, ...]) -> str:
    """Return the nftables script that leads connections to Services to pods, at random."""
    nat, refused = [], []
    for route in routes:
        where = f"ip daddr {{ {', '.join(route.addresses)} }} tcp dport {route.port}"
        if not route.targets:
            refused.append(f"{where} reject with tcp reset")
            continue
        choice = ", ".join(f"{n} : {a} . {port}" for n, (a, port) in enumerate(route.targets))
        nat.append(f"{where} dnat ip to numgen random mod {len(route.targets)} map {{ {choice} }}")
    chosen, none = "\n        ".join(nat), "\n        ".join(refused)
    return f"""table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
    chain choose {{
        {chosen}
    }}
    chain nowhere {{
        {none}
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat - 10;
        jump choose
    }}
    chain output {{
        type nat hook output priority dstnat - 10;
        jump choose
    }}
    chain postrouting {{
        # Pods would answer each other directly, past the translation.
        type nat hook postrouting priority srcnat - 10;
        ip saddr {SUBNET} ip daddr {SUBNET} ct status dnat masquerade
    }}
    chain input {{
        type filter hook input priority 0;
        jump nowhere
    }}
    chain forward {{
        type filter hook forward priority 0;
        jump nowhere
    }}
}}
"""


class Network:
    """Puts into effect what the store says of Services, some seconds later."""

    def __init__(self, store: Store, node: str, delay: float) -> None:
        self._store, self._node, self._delay = store, node, delay
        self._view = View((), {})
        words = itertools.pairwise(Path("/etc/resolv.conf").read_text().split())
        self._upstream = next((server for word, server in words if word == "nameserver"), "")

    def run(self) -> None:
        """Follow the store, for ever."""
        loopback = ["ip", "address", "replace", f"{DNS}/32", "dev", "lo"]
        subprocess.run(loopback, check=True)
        # Addresses of Services that nobody has are not looked for elsewhere.
        route = ["ip", "route", "replace", "blackhole", SERVICES]
        subprocess.run(route, check=True)
        threading.Thread(target=self._serve_names, daemon=True).start()
        known = self._view
        late: collections.deque[tuple[float, View]] = collections.deque()
        seen = 0
        while True:
            timeout = late[0][0] - time.monotonic() if late else 1.0
            seen = self._store.wait(seen, max(0.0, min(1.0, timeout)))
            with self._store.lock:
                found = view(self._store, self._node)
            if found != known:
                known = found
                late.append((time.monotonic() + self._delay, found))
            while late and late[0][0] <= time.monotonic():
                self._use(late.popleft()[1])

    def _use(self, found: View) -> None:
        if found.routes != self._view.routes:
            text = rules(found.routes)
            subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
        self._view = found

    def _serve_names(self) -> None:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((DNS, 53))
        while True:
            query, client = server.recvfrom(4096)
            with contextlib.suppress(IndexError, struct.error, UnicodeError, OSError):
                name, kind, size = question(query)
                if name == DOMAIN or name.endswith(f".{DOMAIN}"):
                    found = self._view.names.get(name)
                    server.sendto(answer(query, kind, found, size), client)
                elif self._upstream:
                    ask = (query, client, server)
                    threading.Thread(target=self._forward, args=ask, daemon=True).start()

    def _forward(self, query: bytes, client: tuple[str, int], server: socket.socket) -> None:
        kind = socket.AF_INET6 if ":" in self._upstream else socket.AF_INET
        with contextlib.suppress(OSError), socket.socket(kind, socket.SOCK_DGRAM) as other:
            other.settimeout(2)
            other.sendto(query, (self._upstream, 53))
            server.sendto(other.recv(4096), client)


def question(query: bytes) -> tuple[str, int, int]:
    """Return the name and the type that a query asks for, and how many bytes an answer may have.

    Raises IndexError and struct.error for what is none. Pure.
    """
    at, words = 12, []
    while length := query[at]:
        words.append(query[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
    at += 5
    size = PLAIN_SIZE
    # EDNS: the root's name, then the type, then the size.
    if query[10:12] != b"\0\0" and query[at : at + 3] == struct.pack("!BH", 0, OPT):
        (size,) = struct.unpack("!H", query[at + 3 : at + 5])
    return ".".join(words), kind, size


def answer(query: bytes, kind: int, addresses: tuple[str, ...] | None, size: int) -> bytes:
    """Return the answer to a query: no such name without addresses, cut if it is too long. Pure."""
    end = query.index(b"\0", 12) + 5
    found = [ipaddress.IPv4Address(a).packed for a in addresses or ()] if kind == A else []
    records = [struct.pack("!HHHIH", 0xC00C, A, 1, TTL, 4) + packed for packed in found]
    fit = max(0, size - end) // 16
    cut = 0x0200 if len(records) > fit else 0
    missing = 3 if addresses is None else 0
    flags = 0x8580 | cut | missing
    head = query[:2] + struct.pack("!HHHHH", flags, 1, min(fit, len(records)), 0, 0)
    return head + query[12:end] + b"".join(records[:fit])


def service_address(used: set[str]) -> str:
    """Return an address for a Service that no other has. Pure."""
    hosts = ipaddress.ip_network(SERVICES).hosts()
    return next(str(each) for each in hosts if str(each) not in used | {DNS, GATEWAY})
