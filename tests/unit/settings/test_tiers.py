"""App and proxy on different hosts: what settings and hosts need then."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.unit.settings.conftest import MakeSettings
from wsdeploy import App, Failover, HAProxy, Leaving, Nginx, SettingsError, hosts
from wsdeploy.settings import Settings

Entry = str | tuple[str, dict[str, Any]]
"""A host, as inventories name it."""


@pytest.fixture
def tiers(make: MakeSettings, folder: Path) -> MakeSettings:
    """Settings as in an inventory with these hosts."""

    def settings(
        app: list[Entry],
        proxy: list[Entry],
        listen: Literal["tcp", "shared", "unix"] | None = None,
        internal_tls: bool = False,
        port: int = 8000,
        **shared: str,
    ) -> Settings:
        made = make(app=App("app.py", listen=listen, port=port), internal_tls=internal_tls)
        (_, data), _ = hosts(made, app=app, proxy=proxy, **shared)
        placed: Settings = data["settings"]
        return placed

    return settings


Complaints = Callable[..., list[str]]


@pytest.fixture
def complaints(tiers: MakeSettings) -> Complaints:
    """What is said of settings with these hosts."""

    def said(*arguments: list[Entry] | str | None, **options: Any) -> list[str]:
        with pytest.raises(SettingsError) as raised:
            tiers(*arguments, **options)
        return [str(problem) for problem in raised.value.problems]

    return said


def at(name: str, address: int | str) -> tuple[str, dict[str, Any]]:
    return (name, {"private_address": address})


def missing(role: str, host: str) -> str:
    return (
        f"{role}: {host} has no private_address; app and proxy are on different hosts, so give the "
        f'address that they reach each other at: ("{host}", {{"private_address": "10.0.0.1"}})'
    )


APPS = [at("app1", "10.0.0.1"), at("app2", "fd00::2")]
PROXIES = [at("lb1", "10.0.0.9")]


def test_good_tiers(tiers: MakeSettings) -> None:
    for listen in (None, "tcp", "shared"):
        settings = tiers(APPS, PROXIES, listen)
        assert settings.listen() == (listen or "tcp")


MISTAKES = [
    (["app1", APPS[1]], PROXIES, None, [missing("app", "app1")]),
    (APPS, ["lb1"], None, [missing("proxy", "lb1")]),
    (
        ["app1", "app2"],
        ["app2", "lb1"],
        None,
        [missing("app", "app1"), missing("app", "app2"), missing("proxy", "lb1")],
    ),
    (
        [at("app1", "app1.internal")],
        [at("lb1", "10.0.0")],
        None,
        [
            "private_address: 'app1.internal' given; give an address for app1",
            "private_address: '10.0.0' given; give an address for lb1",
        ],
    ),
    (
        APPS,
        PROXIES,
        "unix",
        ["app.listen: 'unix' given; other hosts can't reach sockets; give 'tcp' or 'shared'"],
    ),
]


def test_mistakes(complaints: Complaints) -> None:
    for app, proxy, listen, expected in MISTAKES:
        assert complaints(app, proxy, listen) == expected


def test_hosts_that_are_both_need_no_address(tiers: MakeSettings) -> None:
    tiers(["one", "two"], ["two", "one"], "unix")


def test_a_host_that_is_both_among_others_needs_one(tiers: MakeSettings) -> None:
    tiers([*APPS, "lb1"], PROXIES)


def test_an_address_is_text(complaints: Complaints) -> None:
    assert complaints([at("app1", 7)], PROXIES) == [
        "private_address: 7 given; give an address for app1"
    ]


def test_an_address_without_a_zone(complaints: Complaints) -> None:
    assert complaints([at("app1", "fe80::1%eth0")], PROXIES) == [
        "private_address: 'fe80::1%eth0' given; give an address for app1"
    ]


def test_hosts_do_not_share_an_address(complaints: Complaints) -> None:
    assert complaints(["app1", "app2"], PROXIES, private_address="10.0.0.1") == [
        "private_address: '10.0.0.1' given; app2 needs its own; app1 has that one"
    ]


def test_tls_between_the_tiers(tiers: MakeSettings) -> None:
    for listen in (None, "unix"):
        settings = tiers(APPS, PROXIES, listen, internal_tls=True)
        assert settings.listen() == "unix"


def test_tls_needs_tiers(complaints: Complaints) -> None:
    assert complaints(["one"], ["one"], internal_tls=True) == [
        "internal_tls: True given; app and proxy are the same hosts here; leave it out"
    ]


def test_tls_has_the_ports_to_itself(tiers: MakeSettings, complaints: Complaints) -> None:
    for listen in ("tcp", "shared"):
        assert complaints(APPS, PROXIES, listen, internal_tls=True) == [
            f"app.listen: {listen!r} given; with internal_tls, processes listen on unix sockets; "
            "leave it out"
        ]
    tiers(APPS, PROXIES, internal_tls=True, port=65_335)
    assert complaints(APPS, PROXIES, internal_tls=True, port=65_336) == [
        "app.port: 65336 given; internal_tls takes ports from 100 above it; "
        "give a whole number from 1,024 to 65,335"
    ]


Spare = Callable[..., Settings]
"""Settings with spare addresses, as in an inventory."""


@pytest.fixture
def spare(make: MakeSettings, folder: Path) -> Spare:
    """Settings as in an inventory with these spare addresses behind HAProxy."""

    def settings(
        addresses: str | list[Any],
        app: Sequence[Entry] = APPS,
        proxy: Sequence[Entry] = PROXIES,
        processes: int | Literal["auto"] = 2,
        listen: Literal["shared"] | None = None,
        in_front: HAProxy | Nginx | None = None,
        internal_tls: bool = False,
    ) -> Settings:
        app_settings = App("app.py", processes=processes, listen=listen)
        made = make(app=app_settings, proxy=in_front or HAProxy(), internal_tls=internal_tls)
        (_, data), _ = hosts(made, app=app, proxy=proxy, spare_addresses=addresses)
        placed: Settings = data["settings"]
        return placed

    return settings


def test_good_spare_addresses(spare: Spare) -> None:
    assert spare("10.0.0.31").topology.spare == ("10.0.0.31",)
    assert spare(["10.0.0.31", "fd00::31"]).topology.spare == ("10.0.0.31", "fd00::31")
    assert spare(["10.0.0.31"], processes="auto", listen="shared").topology.spare
    assert spare([]).topology.spare == ()


BAD_SPARE: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"in_front": Nginx()},
        [
            "spare_addresses: nginx does not look whether a host is there before it passes a "
            "client to it; give proxy=HAProxy()"
        ],
    ),
    (
        {"app": ["one"], "proxy": ["one"]},
        ["spare_addresses: app and proxy are the same hosts here; leave it out"],
    ),
    (
        {"internal_tls": True},
        [
            "spare_addresses: with internal_tls, proxies only trust hosts whose certificates a "
            "run has collected; leave out one of the two"
        ],
    ),
    (
        {"processes": "auto"},
        [
            "app.processes: 'auto' given; hosts at spare_addresses are not asked how many they "
            "have; give a number"
        ],
    ),
]


def test_where_nobody_can_be_spare(spare: Spare) -> None:
    for options, expected in BAD_SPARE:
        with pytest.raises(SettingsError) as raised:
            spare(["10.0.0.31"], **options)
        assert [str(problem) for problem in raised.value.problems] == expected


def test_addresses_that_can_not_be_spare(spare: Spare) -> None:
    taken = "of the inventory has that one; leave it out"
    for addresses, expected in (
        (["app9"], ["'app9' given; give an address"]),
        ([7], ["7 given; give an address"]),
        (["127.0.0.1"], ["'127.0.0.1' given; give an address"]),
        (["10.0.0.1"], [f"'10.0.0.1' given; app1 {taken}"]),
        (["fd00:0::2"], [f"'fd00:0::2' given; app2 {taken}"]),
        (["10.0.0.9"], [f"'10.0.0.9' given; lb1 {taken}"]),
        (["10.0.0.31", "10.0.0.31"], ["'10.0.0.31' given; listed twice; list it once"]),
        (
            ["203.0.113.5"],
            ["'203.0.113.5' given; that is a placeholder; give an address of your private network"],
        ),
    ):
        with pytest.raises(SettingsError) as raised:
            spare(addresses)
        found = [str(problem) for problem in raised.value.problems]
        assert found == [f"spare_addresses: {each}" for each in expected]


def test_a_host_named_by_its_address_is_not_spare(spare: Spare) -> None:
    with pytest.raises(SettingsError, match=r"10\.7\.0\.1 of the inventory has that one"):
        spare(["10.7.0.1"], app=[at("10.7.0.1", "10.0.0.1")])


def test_an_address_that_the_proxies_share_is_not_spare(make: MakeSettings) -> None:
    made = make(app=App("app.py", processes=2), proxy=HAProxy(), failover=Failover(["10.0.0.100"]))
    with pytest.raises(SettingsError) as raised:
        hosts(
            made,
            app=APPS[:1],
            proxy=[*PROXIES, at("lb2", "10.0.0.8")],
            spare_addresses=["10.0.0.100"],
        )
    assert [str(problem) for problem in raised.value.problems] == [
        "spare_addresses: '10.0.0.100' given; the proxies share that one; leave it out"
    ]


def test_only_machines_that_are_proxy_and_app_come_and_go(make: MakeSettings, folder: Path) -> None:
    made = make(app=App("app.py"), leaving=Leaving("aws"))
    assert hosts(made, app=["one"])
    with pytest.raises(SettingsError, match="leaving: app and proxy are on different hosts here; "):
        hosts(made, app=APPS, proxy=PROXIES)
