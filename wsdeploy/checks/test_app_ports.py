"""App hosts that are reached by TCP: on the right addresses, and by the proxies only."""

import socket

import pytest
from testinfra.host import Host

from wsdeploy.plan.app import upstreams
from wsdeploy.plan.host import firewall
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

EVERYWHERE = {"0.0.0.0", "::", "*"}


@pytest.fixture(autouse=True)
def tcp(settings: Settings) -> None:
    if not upstreams.reached(settings, 1):
        pytest.skip("the app listens on unix sockets")


def test_every_port_listens_where_the_proxies_come(
    app_host: Host, settings: Settings, count: int
) -> None:
    """And nowhere else; or on all interfaces behind the firewall, as apps without wsapp may."""
    name = app_host.inventory.name
    found: dict[int, set[str]] = {port: set() for port in upstreams.reached(settings, count)}
    for line in app_host.check_output("ss --no-header --listening --numeric --tcp").splitlines():
        where, _, port = line.split()[3].rpartition(":")
        if int(port) in found:
            found[int(port)].add(where.strip("[]"))
    for port, addresses in found.items():
        filtered = firewall.wanted(settings) and addresses & EVERYWHERE
        # "localhost" is ::1, too.
        alone = addresses - {"::1"} == {settings.topology.listen_address(name)}
        assert alone or filtered, f"{port}: {addresses}"


def test_ports_accept_a_burst(app_host: Host, settings: Settings, count: int) -> None:
    for line in app_host.check_output("ss --no-header --listening --numeric --tcp").splitlines():
        if int(line.split()[3].rpartition(":")[2]) in upstreams.reached(settings, count):
            assert int(line.split()[2]) >= 4096


def test_ports_are_closed_to_this_machine(app_host: Host, settings: Settings, count: int) -> None:
    """It is not a proxy. SSH from it works, or this test could not run."""
    if not firewall.wanted(settings):
        pytest.skip("no other host can reach the ports anyway, or the firewall is off")
    for port in upstreams.ports(settings, count):
        with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
            socket.create_connection((app_host.inventory.address, port), timeout=3).close()


def test_ports_are_open_to_every_proxy(
    proxy_host: Host, settings: Settings, survey: Survey
) -> None:
    for upstream in upstreams.upstreams(Target(settings, proxy_host.inventory.name, survey)):
        check = f"exec 3<>/dev/tcp/{upstream.address}/{upstream.port}"
        assert proxy_host.run("bash -c %s", check).rc == 0, upstream.name
