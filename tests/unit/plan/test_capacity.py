"""How many clients a host holds, by each measure; exact numbers that can be worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.plan.conftest import MakeSettings
from wsdeploy import HAProxy, Nginx
from wsdeploy.plan.capacity import model, report
from wsdeploy.plan.capacity.model import APP_CLIENT, GIB, KIB, MIB, PROXY_CLIENT
from wsdeploy.plan.capacity.usage import Measured, Use
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings


@pytest.fixture
def answer() -> Callable[..., dict[str, Any]]:
    """What a host says that has app and proxy on it, but for what a test changes."""

    def make(**changes: Any) -> dict[str, Any]:
        app = {"processes": 4, "clients": 0, "memory": 120 * MIB, "cores": 0.0, "files": 10_128}
        proxy = {"processes": 1, "clients": 0, "memory": 40 * MIB, "cores": 0.0, "files": 42_304}
        good = {
            "limits": {"open_files": 1_048_576, "processors": 4, "memory": 8 * GIB},
            "available": 7 * GIB,
            "files": [1_000, 9_000_000],
            "ports": 28_232,
            "tracked": None,
            "uses": {"app": app, "proxy": proxy},
        }
        return good | changes

    return make


MakeMeasured = Callable[..., Measured]


@pytest.fixture
def measured(answer: Callable[..., dict[str, Any]]) -> MakeMeasured:
    """The same, read. `app` and `proxy` are changed in single values."""

    def make(
        app: dict[str, float] | None = None, proxy: dict[str, float] | None = None, **changes: Any
    ) -> Measured:
        found = Measured.from_json(answer(**changes))
        uses = {"app": app or {}, "proxy": proxy or {}}
        return replace(found, **{k: replace(getattr(found, k), **v) for k, v in uses.items()})

    return make


def limits_of(settings: Settings, host: str, measured: Measured) -> list[model.Limit]:
    return model.found(measured.target(settings, host), measured)


def lines_of(settings: Settings, host: str, measured: Measured) -> list[str]:
    return [*report.lines(measured.target(settings, host), measured)]


def by(limits: list[model.Limit], word: str) -> model.Limit:
    """Return the one limit that is about something."""
    (found,) = [limit for limit in limits if word in limit.what]
    return found


def test_an_answer(answer: Callable[..., dict[str, Any]]) -> None:
    found = Measured.from_json(answer(tracked=[5, 100]))
    assert found.tracked == (5, 100)
    assert found.app == Use(4, 0, 120 * MIB, 0.0, 10_128)
    assert found.clients == 0
    assert found.internal is None


def test_max_connections_gives_out_first_and_can_be_raised(
    make: MakeSettings, measured: MakeMeasured
) -> None:
    limits = limits_of(make(), "one", measured())
    assert limits[0].what == "max_connections"
    assert limits[0].clients == 10_000
    # Two digits and zeros.
    assert limits[0].remedy.startswith(f"max_connections={limits[1].clients // 1000}_000")
    assert [limit.clients for limit in limits] == sorted(limit.clients for limit in limits)


def test_max_connections_that_is_right_stays(make: MakeSettings, measured: MakeMeasured) -> None:
    few = {"open_files": 20_000, "processors": 4, "memory": 8 * GIB}
    room = 2 * (20_000 - 128)
    for connections, words in (
        (room - 1_000, "max_connections=39_000 is what the rest allows"),
        (room - 100, "the rest allows no more"),
        (room, "the rest allows no more"),
        (room + 1, "max_connections=39_000 would refuse those that the host can't hold"),
    ):
        settings = make({"processes": 2}, max_connections=connections)
        limits = limits_of(settings, "one", measured(limits=few, app={"files": 20_000}))
        assert by(limits, "max_connections").remedy == words


def test_max_connections_that_is_too_high_should_be_lowered(
    make: MakeSettings, measured: MakeMeasured
) -> None:
    busy = measured(app={"files": 1_000_000})
    limits = limits_of(make(max_connections=900_000), "one", busy)
    assert limits[-1].what != limits[0].what == by(limits, "memory").what
    remedy = by(limits, "max_connections").remedy
    assert remedy.endswith("would refuse those that the host can't hold")


@pytest.mark.parametrize("proxy", [Nginx, HAProxy])
def test_open_files_of_a_proxy(
    make: MakeSettings, measured: MakeMeasured, proxy: type[HAProxy | Nginx]
) -> None:
    settings = make({"processes": 4}, proxy=proxy(), max_connections=10_000)
    small = {"open_files": 20_000, "processors": 2, "memory": 8 * GIB}
    limits = limits_of(settings, "one", measured(limits=small))
    word = "up to 8 nginx workers" if proxy is Nginx else "HAProxy"
    # nginx leaves a sixteenth free, 400 wait, and it gets up to 4 workers for each processor. Of
    # HAProxy's, 128 are spare, 4 are for health checks, and 8 for each thread.
    fits = {Nginx: (18_749 - 400) // 2 * 8, HAProxy: (20_000 - 128 - 4 - 16) // 2 - 400}
    assert by(limits, word).clients == fits[proxy]


def test_open_files_of_the_app(make: MakeSettings, measured: MakeMeasured) -> None:
    small = {"open_files": 1_024, "processors": 2, "memory": 8 * GIB}
    settings = make({"processes": 4})
    limits = limits_of(settings, "one", measured(limits=small, app={"files": 1_024}))
    limit = by(limits, "4 processes, 1,024 each")
    assert limit.clients == 4 * (1_024 - 128)
    assert limit.remedy == "App(processes=12), or a higher hard limit of the host"
    assert 12 * (1_024 - 128) >= 10_000 > 11 * (1_024 - 128)


def test_processes_that_were_started_with_less(make: MakeSettings, measured: MakeMeasured) -> None:
    limit = by(limits_of(make(), "one", measured(app={"files": 1_024})), "were started with")
    assert limit.clients == 4 * (1_024 - 128)
    assert limit.remedy == "deploy, which gives each 10,128"


def test_memory_by_the_table(make: MakeSettings, measured: MakeMeasured) -> None:
    settings = make({"compression": "off"})
    found = measured()
    limit = by(limits_of(settings, "one", found), "memory")
    # One TCP socket to the client, two unix sockets between; the app's part twice.
    once = 4 * KIB + 2 * 2.5 * KIB + PROXY_CLIENT["Nginx"]
    spare = 7 * GIB - 0.1 * 8 * GIB - 120 * MIB
    assert limit.clients == int(spare / (once + 2 * APP_CLIENT["off"]))
    assert by(limits_of(make(), "one", found), "memory").clients < limit.clients


def test_memory_of_clients_that_are_there_is_not_counted_again(
    make: MakeSettings, measured: MakeMeasured
) -> None:
    settings, now = make({"compression": "off"}), 500
    idle = measured()
    once = 4 * KIB + 2 * 2.5 * KIB + PROXY_CLIENT["Nginx"]
    taken = now * APP_CLIENT["off"]
    busy = measured(
        available=idle.available - int(now * once) - taken,
        app={"clients": now, "memory": 120 * MIB + taken},
        proxy={"clients": now},
    )
    before, after = (by(limits_of(settings, "one", it), "memory") for it in (idle, busy))
    assert abs(before.clients - after.clients) <= 1


def test_an_app_that_keeps_much_for_each_client(make: MakeSettings, measured: MakeMeasured) -> None:
    def app(changes: dict[str, int]) -> Use:
        found = measured(app=changes).app
        assert found is not None
        return found

    heavy = {
        "clients": 4_000,
        "memory": 4_000 * 200 * KIB + 4 * model.APP_PROCESS,
    }
    settings = make()
    few = {"clients": 3_999, "memory": 2 * GIB}
    assert model.app_client(settings, app(heavy)) == 200 * KIB
    assert model.app_client(settings, app(few)) == APP_CLIENT["low"]
    light = {"clients": 4_000, "memory": 130 * MIB}
    assert model.app_client(settings, app(light)) == APP_CLIENT["low"]


def test_memory_that_is_missing(make: MakeSettings, measured: MakeMeasured) -> None:
    settings = make({"compression": "high"}, max_connections=100_000)
    limit = by(limits_of(settings, "one", measured()), "memory")
    gib = float(limit.remedy.removesuffix(" GiB more"))
    more = {"open_files": 1_048_576, "processors": 4, "memory": int((8 + gib + 0.1) * GIB)}
    enough = measured(limits=more, available=int((7 + gib + 0.1) * GIB))
    assert by(limits_of(settings, "one", enough), "memory").clients >= 100_000


def test_processor_time_at_the_present_rate(make: MakeSettings, measured: MakeMeasured) -> None:
    busy = measured(app={"clients": 1_000, "cores": 0.3}, proxy={"clients": 1_000, "cores": 0.5})
    limit = by(limits_of(make(), "one", busy), "4 cores at 80%")
    assert limit.clients == 4_000
    assert limit.remedy == "10 cores, or one more host"
    # Two processes can't use four cores.
    limits = limits_of(make({"processes": 2}), "one", busy)
    assert by(limits, "2 processes, each on one core").clients == int(2 * 0.8 / 0.0003)
    assert by(limits, "2 processes, each on one core").remedy == "App(processes=4)"


def test_processor_time_is_not_known_of_few_clients(
    make: MakeSettings, measured: MakeMeasured
) -> None:
    few = measured(app={"clients": 199, "cores": 0.3}, proxy={"clients": 199, "cores": 0.5})
    assert not [it for it in limits_of(make(), "one", few) if "cores" in it.what]
    lines = list(lines_of(make(), "one", few))
    asked = "-> ask again while they are busy"
    assert lines[-1].endswith(f"?  cores: there are fewer than 200 clients now {asked}")
    idle = measured(app={"clients": 200}, proxy={"clients": 200})
    lines = list(lines_of(make(), "one", idle))
    assert lines[-1].endswith(f"?  cores: clients do nothing now {asked}")


def test_source_ports_of_a_host_alone(make: MakeSettings, measured: MakeMeasured) -> None:
    assert not [it for it in limits_of(make(), "one", measured()) if "ports" in it.what]
    settings = make({"listen": "tcp"}, max_connections=500_000)
    limit = by(limits_of(settings, "one", measured()), "source ports")
    assert limit.clients == 4 * 28_232
    assert limit.remedy == "App(processes=18)"
    shared = make({"listen": "shared"})
    limit = by(limits_of(shared, "one", measured()), "source ports")
    assert (limit.clients, limit.remedy[:17]) == (28_232, 'App(listen="tcp")')


def test_a_proxy_of_its_own(tiers: MakeSettings, measured: MakeMeasured) -> None:
    found = replace(
        measured(tracked=[1_000, 20_000], proxy={"clients": 400}),
        app=None,
        app_processes={"app1": 2, "app2": 6},
    )
    limits = limits_of(tiers({"processes": "auto"}), "lb1", found)
    assert by(limits, "source ports").clients == 8 * 28_232
    assert by(limits, "tracks").clients == 20_000 - 600
    # The client's end, and the end towards the app.
    assert by(limits, "whole host").clients == (9_000_000 - 1_000) // 2 + 400
    once = 2 * 4 * KIB + PROXY_CLIENT["Nginx"]
    memory = 400 + int((7 * GIB - 0.1 * 8 * GIB) / once)
    assert by(limits, "memory").clients == memory
    assert len(limits) == 6
    # Without the app hosts nobody knows their number.
    unknown = replace(found, app_processes={"app1": 2})
    limits = limits_of(tiers({"processes": "auto"}), "lb1", unknown)
    assert not [limit for limit in limits if "ports" in limit.what]


def test_an_app_host_should_hold_what_all_proxies_may_send(
    tiers: MakeSettings, measured: MakeMeasured
) -> None:
    found = replace(measured(), proxy=None)
    settings = tiers(max_connections=10_000)
    assert model.wanted(Target.unknown(settings, "app1")) == 20_000
    assert model.wanted(Target.unknown(settings, "lb1")) == 10_000
    limits = limits_of(settings, "app1", found)
    # What proxies refuse is not the app hosts' to say.
    assert "max_connections" not in [limit.what for limit in limits]


def test_an_app_host_with_tls_has_a_listener_more(
    tiers: MakeSettings, answer: Callable[..., dict[str, Any]]
) -> None:
    use = {"processes": 1, "clients": 0, "memory": MIB, "cores": 0.0, "files": 1}
    uses = {"app": answer()["uses"]["app"], "internal": use}
    small = {"open_files": 20_000, "processors": 2, "memory": 8 * GIB}
    found = Measured.from_json(answer(uses=uses, limits=small))
    limits = limits_of(tiers({"processes": 4}, internal_tls=True), "app1", found)
    assert by(limits, "TLS listener").clients == (20_000 - 128 - 4 - 16) // 2
    plain = limits_of(tiers(), "app1", replace(found, internal=None))
    assert by(limits, "memory").clients < by(plain, "memory").clients


def test_what_is_said_of_a_host(make: MakeSettings, measured: MakeMeasured) -> None:
    busy = measured(app={"clients": 1_000, "cores": 0.3}, proxy={"clients": 1_000, "cores": 0.5})
    lines = list(lines_of(make(), "one", busy))
    assert lines[:3] == [
        "4 cores, 8.0 GiB of memory, 4 processes, 1,000 clients now",
        "holds 4,000 clients",
        "      4,000  4 cores at 80%, with what clients send now -> 10 cores, or one more host",
    ]
    assert all(len(line) < 140 for line in lines)


def test_what_does_not_run(make: MakeSettings, measured: MakeMeasured) -> None:
    found = replace(measured(), app=None)
    assert list(lines_of(make(), "one", found))[1:] == ["app not running here; deploy first"]


def test_what_is_said_of_the_fleet(tiers: MakeSettings, measured: MakeMeasured) -> None:
    settings, found = tiers(max_connections=5_000), measured()
    hosts = {
        "app1": replace(found, proxy=None),
        "app2": replace(found, proxy=None),
        "lb1": replace(found, app=None),
    }
    app = limits_of(settings, "app1", hosts["app1"])[0].clients
    assert list(report.fleet(settings, hosts)) == [
        f"2 app hosts hold {2 * app:,} clients together, {app:,} without the largest",
        "not counted: lb2",
    ]


def test_the_fleet_of_hosts_that_are_alone(make: MakeSettings, measured: MakeMeasured) -> None:
    settings = make(groups={"app": ["a", "b"], "proxy": ["a", "b"]})
    hosts = {"a": measured(), "b": measured(available=2 * GIB)}
    held = [limits_of(settings, host, it)[0].clients for host, it in hosts.items()]
    assert list(report.fleet(settings, hosts)) == [
        f"2 hosts hold {sum(held):,} clients together, {min(held):,} without the largest"
    ]
