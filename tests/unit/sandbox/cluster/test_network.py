"""Where connections to Services go, and what names stand for."""

import struct

from wsdeploy_sandbox.cluster import network
from wsdeploy_sandbox.cluster.network import AAAA, A, Route, View
from wsdeploy_sandbox.cluster.store import Object, Store

NAME = "ws-pods.chat.svc.cluster.local"


def query(name: str, kind: int = A, size: int | None = None) -> bytes:
    words = b"".join(bytes([len(w)]) + w.encode() for w in name.split("."))
    extra = struct.pack("!BHHIH", 0, network.OPT, size, 0, 0) if size else b""
    head = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 1 if size else 0)
    return head + words + b"\0" + struct.pack("!HH", kind, 1) + extra


def addresses(answer: bytes) -> int:
    return int.from_bytes(answer[6:8], "big")


def test_a_question() -> None:
    assert network.question(query(NAME.upper())) == (NAME, A, 512)
    assert network.question(query(NAME, AAAA, 8192)) == (NAME, AAAA, 8192)


def test_an_answer() -> None:
    asked = query(NAME)
    said = network.answer(asked, A, ("10.244.0.2", "10.244.0.3"), 512)
    assert (said[:2], said[3] & 15, addresses(said)) == (asked[:2], 0, 2)
    assert said.endswith(bytes([10, 244, 0, 3]))
    assert network.answer(asked, A, None, 512)[3] & 15 == 3
    assert addresses(network.answer(query(NAME, AAAA), AAAA, ("10.244.0.2",), 512)) == 0


def test_an_answer_that_is_too_long_is_cut_and_says_so() -> None:
    many = tuple(f"10.244.0.{n}" for n in range(2, 102))
    cut = network.answer(query(NAME), A, many, 512)
    assert len(cut) <= 512
    assert cut[2] & 2
    whole = network.answer(query(NAME, A, 8192), A, many, 8192)
    assert (addresses(whole), whole[2] & 2) == (100, 0)


def test_rules() -> None:
    text = network.rules((Route(("10.96.0.1",), 80, (("10.244.0.2", 8000), ("10.244.0.3", 8000))),))
    choice = "numgen random mod 2 map { 0 : 10.244.0.2 . 8000, 1 : 10.244.0.3 . 8000 }"
    assert f"ip daddr {{ 10.96.0.1 }} tcp dport 80 dnat ip to {choice}" in text
    nobody = network.rules((Route(("10.96.0.1",), 80, ()),))
    assert "ip daddr { 10.96.0.1 } tcp dport 80 reject with tcp reset" in nobody


def service(name: str, address: str, kind: str = "ClusterIP") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "chat"},
        "spec": {"clusterIP": address, "type": kind, "ports": [{"port": 80}]},
    }


def slice_of(name: str, **pods: tuple[bool, bool]) -> Object:
    """Return where pods are; each is serving or not, and ending or not."""
    endpoints = [
        {
            "addresses": [f"10.244.0.{number}"],
            "conditions": {"ready": serving and not ending, "serving": serving},
        }
        for number, (serving, ending) in enumerate(pods.values(), 2)
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-endpoints", "namespace": "chat"},
        "endpoints": endpoints,
        "ports": [{"port": 8000}],
    }


def seen(*objects: Object) -> View:
    store = Store()
    for each in objects:
        store.create(each)
    return network.view(store, "10.77.77.11")


def test_only_pods_that_are_ready_get_new_connections() -> None:
    pods = slice_of("ws", ready=(True, False), starting=(False, False), ending=(True, True))
    found = seen(service("ws", "10.96.0.1"), pods)
    assert found.routes == (Route(("10.96.0.1",), 80, (("10.244.0.2", 8000),)),)
    headless = seen(service("ws", "None"), pods)
    assert headless == View((), {"ws.chat.svc.cluster.local": ("10.244.0.2",)})


def test_pods_that_end_are_better_than_none() -> None:
    found = seen(service("ws", "10.96.0.1"), slice_of("ws", ending=(True, True)))
    assert found.routes[0].targets == (("10.244.0.2", 8000),)


def test_a_balancer_has_the_address_of_the_node_too() -> None:
    found = seen(service("ws", "10.96.0.1", "LoadBalancer"), slice_of("ws", ready=(True, False)))
    assert found.routes[0].addresses == ("10.96.0.1", "10.77.77.11")
