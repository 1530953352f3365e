"""What the hosts of a fleet go back to together."""

import pytest

from tests.unit.plan.conftest import MakeSettings
from wsdeploy.plan.app.rollback import History, NoWayBackError, Record, listing, targets
from wsdeploy.plan.app.rollout_order import batches, has_served, is_first_run
from wsdeploy.plan.host.survey import PathState, Survey
from wsdeploy.plan.target import Target

UNIX = "unix:/run/ws/x"


def history(
    versions: str,
    live: str | None = None,
    previous: str | None = None,
    listen: str = UNIX,
    host: str = "",
) -> History:
    """A host that has served these versions, the newest first."""
    records = tuple(
        Record(f"{version}{host}", f"r{version}", version, listen, 4, 100.0 - age, 0.0, "a@b")
        for age, version in enumerate(versions)
    )
    live = live or versions[0]
    return History(f"{live}{host}", previous and f"{previous}{host}", records)


def back(histories: dict[str, History], to: str | None = None) -> dict[str, str]:
    return {host: record.generation for host, record in targets(histories, to).items()}


def test_all_go_back_from_the_newest() -> None:
    fleet = {
        "app1": history("cba", previous="b", host="1"),
        "app2": history("cba", previous="b", host="2"),
    }
    assert back(fleet) == {"app1": "b1", "app2": "b2"}


def test_a_deployment_that_stopped_half_way() -> None:
    stopped = {"app1": history("dc", previous="c"), "app2": history(" cb"[1:], previous="b")}
    # The newest version is only on one of them.
    older = stopped["app2"].records
    assert {record.version for record in older} == {"c", "b"}
    fleet = {"app1": stopped["app1"], "app2": aged(stopped["app2"])}
    assert back(fleet) == {"app1": "c"}


def aged(found: History) -> History:
    records = tuple(
        Record(**{**vars(record), "deployed": record.deployed - 50}) for record in found.records
    )
    return History(found.live, found.previous, records)


def test_a_rollback_that_stopped_half_way() -> None:
    fleet = {
        "app1": history("cba", live="b", previous="a"),
        "app2": history("cba", previous="b"),
    }
    assert back(fleet) == {"app2": "b"}


def test_nothing_to_go_back_to() -> None:
    fleet = {"app1": history("ba", previous="a"), "app2": history("b")}
    with pytest.raises(NoWayBackError, match="app2 has nothing to go back to from generation b"):
        targets(fleet, None)
    fleet = {"app1": History("x", None, ())}
    with pytest.raises(NoWayBackError, match="app1 has no record of what it serves; deploy first"):
        targets(fleet, None)


def test_by_name() -> None:
    fleet = {
        "app1": history("cba", previous="b", host="1"),
        "app2": history("cba", previous="b", host="2"),
    }
    wanted = {"app1": "a1", "app2": "a2"}
    # A generation of one host stands for the same on the others.
    assert back(fleet, "a2") == back(fleet, "ra") == wanted
    assert back(fleet, "c1") == {}
    with pytest.raises(NoWayBackError, match="no host has a generation or release x"):
        targets(fleet, "x")
    fleet["app2"] = history("cb", previous="b", host="2")
    with pytest.raises(NoWayBackError, match="app2 has nothing of a1 any more"):
        targets(fleet, "a1")


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("tcp:10.0.0.1:8000", UNIX),
        ("tcp:10.0.0.1:8000", "tcp:10.0.0.1:9000"),
        ("tcp:10.0.0.1:8000", "shared:10.0.0.1:8000"),
        ("tcp:10.0.0.2:8000", "tcp:10.0.0.1:8000"),
    ],
)
def test_where_no_proxy_would_reach_it(before: str, now: str) -> None:
    old, new = history("a", listen=before).records[0], history("b", listen=now).records[0]
    old = Record(**{**vars(old), "deployed": 1.0})
    with pytest.raises(NoWayBackError, match="generation a of app1 listens elsewhere"):
        targets({"app1": History("b", "a", (new, old))}, None)


def test_each_generation_has_sockets_of_its_own() -> None:
    old = Record(**{**vars(history("a").records[0]), "listen": "unix:/run/ws/a", "deployed": 1.0})
    new = Record(**{**vars(history("b").records[0]), "listen": "unix:/run/ws/b"})
    assert back({"app1": History("b", "a", (new, old))}) == {"app1": "a"}


def test_listing() -> None:
    assert list(listing(history("cba", live="b", previous="a"))) == [
        "GENERATION  RELEASE  LIVE SINCE (UTC)     BY",
        "c           rc       1970-01-01 00:00:00  a@b",
        "b           rb       1970-01-01 00:00:00  a@b  live",
        "a           ra       1970-01-01 00:00:00  a@b  previous",
    ]


@pytest.mark.parametrize(
    ("hosts", "at_once", "wanted"),
    [
        ("", 1, []),
        ("a", 3, ["a"]),
        ("abc", 1, ["a", "b", "c"]),
        ("abcde", 2, ["a", "bc", "de"]),
        ("abcd", 9, ["a", "bcd"]),
    ],
)
def test_hosts_that_change_together(hosts: str, at_once: int, wanted: list[str]) -> None:
    assert batches(list(hosts), at_once) == [tuple(batch) for batch in wanted]


def test_hosts_need_not_take_turns_if_none_has_ever_served() -> None:
    hosts = ["a", "b"]
    assert is_first_run(hosts, {"a": False, "b": False, "lb": False})
    assert not is_first_run(hosts, {"a": False, "b": True})
    # One that is no part of the run may serve.
    assert not is_first_run(hosts, {"a": False})


@pytest.mark.parametrize("link", ["/run/ws/current", "/srv/ws/current"])
def test_who_has_served(make: MakeSettings, link: str) -> None:
    settings = make()
    assert not has_served(Target(settings, "one", Survey()))
    found = {link: PathState("link", 0o777, "root", "root", target="releases/x")}
    # After a boot only the second is there.
    assert has_served(Target(settings, "one", Survey(paths=found)))
