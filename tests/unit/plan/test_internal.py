"""The TLS listener of app hosts: its ports, its limits, and what it leaves alone."""

import re

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy import HAProxy, Nginx
from wsdeploy.plan import components
from wsdeploy.plan.app import generation, upstreams
from wsdeploy.plan.host import firewall
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import haproxy, internal, nginx
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

PROGRAMS = {Nginx: "nginx", HAProxy: "haproxy"}
BOTH = {
    "app": [("app1", {"private_address": "10.0.0.1"}), ("lb1", {"private_address": "10.0.0.9"})]
}


@pytest.fixture(params=PROGRAMS)
def encrypted(tiers: MakeSettings, request: pytest.FixtureRequest) -> MakeSettings:
    """Settings with TLS between two app hosts and two proxies, but for what a test changes."""
    return lambda app=None, **more: tiers(app, proxy=request.param(), internal_tls=True, **more)


def text(settings: Settings, survey: Survey, host: str = "app1") -> str:
    return internal.files(Target(settings, host, survey)).files[0].content


def test_processes_listen_on_sockets_and_proxies_ask_for_tls_ports(
    encrypted: MakeSettings, debian: MakeSurvey
) -> None:
    settings = encrypted({"processes": 2, "port": 9000})
    assert str(generation.listen(Target.unknown(settings, "app1"))) == "unix:/run/ws/@GENERATION@"
    found = [
        (each.address, each.port) for each in upstreams.upstreams(Target(settings, "lb1", debian()))
    ]
    assert found == [("10.0.0.1", 9100), ("10.0.0.1", 9101), ("fd00::2", 9100), ("fd00::2", 9101)]
    one, other = text(settings, debian()), text(settings, debian(), "app2")
    for process, port in (("ws_00", 9100), ("ws_01", 9101)):
        assert re.search(rf"10\.0\.0\.1:{port} ssl[^}}]*?current/{process}\.sock", one)
        assert re.search(rf"\[fd00::2\]:{port} ssl[^}}]*?current/{process}\.sock", other)


def test_ports_of_before_stay_closed_to_others(
    encrypted: MakeSettings, tiers: MakeSettings
) -> None:
    """While it is switched on, old processes have theirs."""
    settings = encrypted({"processes": 2})
    assert upstreams.ports(settings, 2) == [8000, 8001, 8100, 8101]
    assert upstreams.reached(settings, 2) == [8100, 8101]
    assert firewall.wanted(settings)
    without = tiers({"processes": 2})
    assert upstreams.ports(without, 2) == upstreams.reached(without, 2) == [8000, 8001]


def test_app_ports_and_tls_ports_are_never_the_same(encrypted: MakeSettings) -> None:
    ports = upstreams.ports(encrypted({"processes": 99, "port": 65_335}), 99)
    assert len(set(ports)) == 2 * 99
    assert max(ports) <= 65_535


def test_it_does_not_change_with_a_release(encrypted: MakeSettings, debian: MakeSurvey) -> None:
    changed = {"env": {"A": "1"}, "drain": 99, "start_timeout": 9, "command": ["python", "x"]}
    one, other = (internal.files(Target(encrypted(app), "app1", debian())) for app in ({}, changed))
    assert one == other


def test_idle_connections_are_the_proxies_to_end(
    encrypted: MakeSettings, debian: MakeSurvey
) -> None:
    settings = encrypted()
    for module in (nginx, haproxy):
        front = module.files(Target(settings, "lb1", debian())).files[0].content
        wait = int(re.findall(r"(?:timeout tunnel|proxy_read_timeout) (\d+)s", front)[0])
        own = re.findall(
            r"(?:timeout (?:client|server)|proxy_timeout) (\d+)s", text(settings, debian())
        )
        assert own
        assert all(int(each) > wait for each in own)


@pytest.mark.parametrize("proxy", PROGRAMS)
def test_room_for_all_clients_of_all_proxies_or_as_many_as_fit(
    tiers: MakeSettings, debian: MakeSurvey, proxy: type[HAProxy | Nginx]
) -> None:
    settings = tiers(proxy=proxy(), internal_tls=True, max_connections=10_000)
    assert internal.room(Target(settings, "one", debian())).connections == 20_000
    assert internal.files(Target(settings, "app1", debian())).notes == ()
    small = debian(open_files=20_000)
    room = internal.room(Target(settings, "one", small))
    assert 2 * room.connections + 100 < room.open_files <= 20_000
    (note,) = internal.files(Target(settings, "app1", small)).notes
    assert note == (
        f"this host allows 20,000 open files per process, so its TLS listener holds "
        f"{room.connections:,} clients, not the 20,000 of all proxies"
    )


@pytest.mark.parametrize(("proxy", "program"), PROGRAMS.items())
def test_debians_own_unit_waits_for_nothing(
    tiers: MakeSettings, debian: MakeSurvey, proxy: type[HAProxy | Nginx], program: str
) -> None:
    settings = tiers(proxy=proxy(), internal_tls=True)
    good = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
    ours = {"ws-internal.service": good}
    unit = f"{program}.service"

    def drift(state: dict[str, str], host: str = "app1") -> list[str]:
        survey = debian(units=ours | ({unit: good | state} if state else {}))
        return internal.drift(Target(settings, host, survey))

    assert drift({}) == []
    assert drift({"UnitFileState": "disabled", "ActiveState": "inactive"}) == []
    assert drift({"ActiveState": "inactive"}) == [f"{unit} would start at the next boot"]
    # Somebody else's.
    assert drift({"ActiveState": "active"}) == []
    assert internal.drift(Target(settings, "app1", debian())) == [
        "ws-internal.service is not running"
    ]
    commands = [
        " ".join(each) for each in internal.files(Target(settings, "app1", debian())).activate
    ]
    assert [unit in each for each in commands if "disable" in each] == [True]


def test_a_host_that_is_a_proxy_too_keeps_its_proxy(
    tiers: MakeSettings, debian: MakeSurvey
) -> None:
    settings = tiers(groups=BOTH, internal_tls=True)
    waiting = {"ActiveState": "inactive", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
    survey = debian(units={"nginx.service": waiting})
    assert "nginx" not in " ".join(internal.drift(Target(settings, "lb1", survey)))
    commands = internal.files(Target(settings, "lb1", debian())).activate
    assert "disable" not in " ".join(word for command in commands for word in command)
    both = {**survey.units, "ws-internal.service": waiting}
    reloads = internal.use_new_keypair(Target(settings, "lb1", debian(units=both)))
    assert [command[-1] for command in reloads] == ["ws-internal.service", "nginx.service"]
    assert internal.use_new_keypair(Target(settings, "lb1", debian())) == ()


def test_packages(tiers: MakeSettings) -> None:
    for proxy, expected in (
        (Nginx, {"nginx", "libnginx-mod-stream", "openssl"}),
        (HAProxy, {"haproxy", "openssl"}),
    ):
        settings = tiers(proxy=proxy(), internal_tls=True)
        assert expected <= set(components.packages(settings, "app1"))
        packages = components.packages(tiers(groups=BOTH, proxy=proxy(), internal_tls=True), "lb1")
        assert len(packages) == len(set(packages))
        assert not expected & set(components.packages(tiers(proxy=proxy()), "app1"))


def test_wanted(make: MakeSettings, tiers: MakeSettings) -> None:
    settings = tiers(internal_tls=True)
    assert internal.wanted(Target.unknown(settings, "app1"))
    assert not internal.wanted(Target.unknown(settings, "lb1"))
    assert not internal.wanted(Target.unknown(tiers(), "app1"))
    assert not internal.wanted(Target.unknown(make(), "one"))
