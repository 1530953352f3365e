"""Where clients come into a cluster."""

from typing import Any

import pytest

from tests.unit.cluster.conftest import Plan
from wsdeploy.cluster import way_in


@pytest.mark.parametrize(
    ("way", "source"),
    [
        ("ingress", ("ingresses.networking.k8s.io", "ws", "chat")),
        ("haproxy", ("services", "ws-proxy", "chat")),
        ("route", ("gateways.gateway.networking.k8s.io", "public", "chat")),
    ],
)
def test_what_has_the_address(plan: Plan, way: str, source: tuple[str, str, str]) -> None:
    target = plan(way)
    assert way_in.source(target.settings, target.kubernetes) == source


@pytest.mark.parametrize(
    ("status", "address"),
    [
        ({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}}, "10.0.0.1"),
        ({"loadBalancer": {"ingress": [{"hostname": "a.elb.example"}]}}, "a.elb.example"),
        ({"addresses": [{"type": "IPAddress", "value": "10.0.0.3"}]}, "10.0.0.3"),
        ({"loadBalancer": {}}, None),
        ({}, None),
    ],
)
def test_an_address_that_the_cluster_gives(status: Any, address: str | None) -> None:
    assert way_in.address({"status": status}) == address
    assert way_in.address(None) is None


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("10.0.0.1:30443", ("10.0.0.1", 30443)),
        ("[::1]:8443", ("::1", 8443)),
        ("[::1]", ("::1", 443)),
        ("::1", ("::1", 443)),
        ("ws.internal", ("ws.internal", 443)),
    ],
)
def test_a_place_that_the_inventory_gives(given: str, place: tuple[str, int]) -> None:
    assert way_in.split(given) == place
