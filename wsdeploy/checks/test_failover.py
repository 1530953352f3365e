"""Proxies that share addresses: one of them has those, and the service answers there."""

import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host

from wsdeploy import inventory
from wsdeploy.checks.client import connect as open_websocket
from wsdeploy.inventory import Fleet
from wsdeploy.plan.host import paths
from wsdeploy.plan.proxy import failover
from wsdeploy.settings import SelfSigned, Settings

Connect = Callable[[inventory.Host], Any]

WHILE_THEY_MOVE = 10
"""Seconds in which a move is over."""


@pytest.fixture(autouse=True)
def _shared(settings: Settings) -> None:
    if settings.failover is None:
        pytest.skip("the proxies share no addresses")


def holders(fleet: Fleet, connect: Connect, address: str) -> list[str]:
    """Return the hosts that have an address where others see it."""
    found = []
    for host in fleet.with_role("proxy"):
        listing = connect(host).check_output("ip -brief address show to %s", address)
        if any(not line.startswith("lo ") for line in listing.splitlines()):
            found.append(host.name)
    return found


def test_one_proxy_has_all_shared_addresses(
    fleet: Fleet, settings: Settings, connect: Connect
) -> None:
    addresses = failover.shared(settings)
    deadline = time.monotonic() + WHILE_THEY_MOVE
    found = {address: holders(fleet, connect, address) for address in addresses}
    while len({*map(tuple, found.values())}) > 1 and time.monotonic() < deadline:
        found = {address: holders(fleet, connect, address) for address in addresses}
    assert [len(each) for each in found.values()] == [1] * len(addresses), found
    assert len({each[0] for each in found.values()}) == 1, found


def test_the_service_answers_at_each_shared_address(
    fleet: Fleet, settings: Settings, connect: Connect
) -> None:
    behind = settings.edge.behind
    if behind and not behind.direct:
        pytest.skip("only the balancer may connect")
    tls = ssl.create_default_context()
    if isinstance(settings.tls, SelfSigned):
        for host in fleet.with_role("proxy"):
            certificate = connect(host).file(paths.certificate(settings.name)).content_string
            tls.load_verify_locations(cadata=certificate)
    for address in failover.shared(settings):
        connection = socket.create_connection((address, 443), timeout=10)
        connection.settimeout(None)
        with open_websocket(
            f"wss://{settings.domain}{settings.app.probe.path}",
            sock=connection,
            ssl=tls,
            origin=settings.edge.some_origin(),
        ) as websocket:
            websocket.ping()


def test_keepalived_runs_and_starts_at_boot(proxy_host: Host) -> None:
    service = proxy_host.service("keepalived")
    assert service.is_running
    assert service.is_enabled


def test_nobody_else_hears_of_addresses_on_lo(proxy_host: Host, settings: Settings) -> None:
    there = proxy_host.check_output("ip -brief address show dev lo")
    for address in failover.shared(settings):
        assert f" {address}/" in there
    for key, value, _ in failover.kernel():
        assert str(proxy_host.sysctl(key)) == value
