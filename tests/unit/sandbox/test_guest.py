from ipaddress import IPv4Network, IPv6Network

import pytest

from wsdeploy_sandbox.guest import (
    Surroundings,
    apt_options,
    boot_files,
    entries,
    is_loopback,
    parse_resolv_conf,
    via_gateway,
)
from wsdeploy_sandbox.network import Subnets
from wsdeploy_sandbox.state import Record

SUBNETS = Subnets(IPv4Network("10.77.77.0/24"), IPv6Network("fd77:7364:6570:1::/64"))
WS = Record("ws", "bookworm", 11, "/base", "ssh-ed25519 AAAA")
APP = Record("app", "trixie", 12, "/base", "ssh-ed25519 BBBB")


def surroundings(local_resolver: str | None = None) -> Surroundings:
    return Surroundings(
        nameservers=() if local_resolver else ("192.0.2.53", "fd00::53"),
        search=("example.com",),
        local_resolver=local_resolver,
        apt_options=('Acquire::http::Proxy "http://localhost:3142";',),
        mtu=1400,
    )


def test_names_of_all_hosts() -> None:
    assert entries([APP, WS], SUBNETS, short=True) == [
        ("10.77.77.11", ("ws.sandbox.test", "ws")),
        ("fd77:7364:6570:1::11", ("ws.sandbox.test", "ws")),
        ("10.77.77.12", ("app.sandbox.test", "app")),
        ("fd77:7364:6570:1::12", ("app.sandbox.test", "app")),
    ]
    assert entries([WS], SUBNETS, short=False)[0] == ("10.77.77.11", ("ws.sandbox.test",))


def test_files_of_a_host() -> None:
    files = boot_files(WS, SUBNETS, surroundings())
    assert files["etc/resolv.conf"] == (
        "nameserver 192.0.2.53\nnameserver fd00::53\nsearch example.com\n"
    )
    unit = files["etc/systemd/network/10-sandbox.network"].splitlines()
    for line in (
        "MACAddress=02:77:73:64:00:0b",
        "MTUBytes=1400",
        "Address=10.77.77.11/24",
        "Address=fd77:7364:6570:1::11/64",
        "Gateway=10.77.77.1",
        "Gateway=fd77:7364:6570:1::1",
    ):
        assert line in unit
    assert files["etc/apt/apt.conf.d/90sandbox"] == (
        'Acquire::http::Proxy "http://10.77.77.1:3142";\n'
    )


def test_resolver_on_loopback_is_reached_through_the_gateway() -> None:
    files = boot_files(WS, SUBNETS, surroundings(local_resolver="127.0.0.1"))
    assert files["etc/resolv.conf"] == "nameserver 10.77.77.1\nsearch example.com\n"


def test_resolv_conf() -> None:
    text = "# a comment\nnameserver 127.0.0.53\nnameserver ::1\noptions edns0\nsearch a.b c.d\n"
    assert parse_resolv_conf(text) == (("127.0.0.53", "::1"), ("a.b", "c.d"))


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.53", True), ("::1", True), ("10.0.0.53", False), ("fe80::1%eth0", False)],
)
def test_loopback(address: str, loopback: bool) -> None:
    assert is_loopback(address) == loopback


DUMP = """APT "";
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://cache:3142";
Acquire::http::Proxy::deb.debian.org "DIRECT";
Acquire::http::Timeout "5";
Acquire::Check-Valid-Until "false";
DPkg::Post-Invoke:: "rm -f /x";
"""


@pytest.mark.parametrize(
    ("dump", "environment", "expected"),
    [
        ("", {}, ()),
        ("", {"http_proxy": "http://p:1"}, ('Acquire::http::Proxy "http://p:1";',)),
        (
            DUMP,
            {"http_proxy": "http://ignored:1"},
            (
                'Acquire::http::Proxy "http://cache:3142";',
                'Acquire::http::Proxy::deb.debian.org "DIRECT";',
                'Acquire::Check-Valid-Until "false";',
            ),
        ),
    ],
)
def test_apt_options(dump: str, environment: dict[str, str], expected: tuple[str, ...]) -> None:
    assert apt_options(dump, environment) == expected


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ("http://127.0.0.1:3142", "http://10.0.0.1:3142"),
        ("http://localhost:3142/", "http://10.0.0.1:3142/"),
        ("http://user:pw@[::1]:1", "http://user:pw@10.0.0.1:1"),
        ("http://localhost.example.com:1", "http://localhost.example.com:1"),
        ("http://cache:3142", "http://cache:3142"),
    ],
)
def test_proxy_on_this_machine(proxy: str, expected: str) -> None:
    option = f'Acquire::http::Proxy "{proxy}";'
    assert via_gateway(option, "10.0.0.1") == f'Acquire::http::Proxy "{expected}";'
