"""The lock of a fleet, the order of its hosts, and commands for bad days, on made-up hosts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.plan.conftest import Converged, Deploy, MakeFleet, Run
from wsdeploy.plan.app import release_commands
from wsdeploy.plan.app.release_commands import Kind
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.survey import Survey
from wsdeploy.release import contents

LOUD = ("-y", "--debug")
HELD = {
    "id": "hers",
    "owner": "anna@laptop",
    "process": {"pid": 7, "start": "1", "where": "another machine"},
    "since": 0.0,
    "step": "App | Processes on app1",
    "until": None,
}
REFUSED = {"wsdeploy-lock": json.dumps({"taken": False, "before": HELD})}


def order(done: Run, program: str) -> list[str]:
    return [host.removeprefix("@fake/") for host, name in done.programs if name == program]


def locks(done: Run) -> list[str]:
    return [host.removeprefix("@fake/") for host in done.locks]


def spoilt(surveys: dict[str, dict[str, Any]], *hosts: str) -> dict[str, dict[str, Any]]:
    """Let hosts serve another generation than the wanted one."""
    for host in hosts:
        surveys[f"@fake/{host}"]["paths"]["/run/ws/current"]["target"] = "f" * 12
    return surveys


FIVE = ("@fake/app1", "@fake/app2", "@fake/app3", "@fake/app4", "@fake/app5", "@fake/lb1")


@pytest.mark.parametrize("at_once", [1, 2])
def test_hosts_take_turns_in_the_inventorys_order(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, at_once: int
) -> None:
    fleet = tiers(more=f"hosts_at_once={at_once}")
    # In no order that names or numbers have.
    names = [FIVE[i] for i in (3, 0, 4, 1, 2, 5)]
    fleet = type(fleet)(fleet.source, tuple(names), fleet.groups)
    surveys = spoilt(converged(fleet), *(name.removeprefix("@fake/") for name in names[:5]))
    for _ in range(3):
        done = deploy(fleet, surveys, *LOUD)
        assert done.code == 0, done.said
        found = order(done, "rollout")
        if at_once == 2:
            found = [found[0], *sorted(found[1:3]), *sorted(found[3:])]
            assert found == ["app4", "app1", "app5", "app2", "app3"]
        assert found == ["app4", "app1", "app5", "app2", "app3"]


def test_a_limited_run_has_a_first_host_too(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    surveys = spoilt(converged(fleet), "app1", "app2")
    done = deploy(fleet, surveys, *LOUD, "--limit", "@fake/app2")
    assert done.code == 0, done.said
    assert order(done, "rollout") == ["app2"]
    assert locks(done) == ["app2", "app2"]


def test_a_change_takes_the_lock_and_releases_it(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    done = deploy(fleet, spoilt(converged(fleet), "app2"), *LOUD)
    assert done.code == 0, done.said
    taken, released = locks(done)[:3], locks(done)[3:]
    assert taken[0] == "app1", "the first app host is where runs meet"
    assert set(taken) == set(released) == {"app1", "app2", "lb1"}


def test_what_is_as_planned_needs_no_lock(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    assert deploy(fleet, converged(fleet), *LOUD).locks == []


def test_a_dry_run_needs_no_lock(deploy: Deploy, tiers: MakeFleet, bare: Converged) -> None:
    fleet = tiers()
    assert deploy(fleet, bare(fleet), "--dry", "--debug").locks == []


def test_a_failed_run_releases_it_too(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    broken = {"@fake/app1": {"wsdeploy-rollout": {"success": False, "stderr": "no"}}}
    done = deploy(fleet, spoilt(converged(fleet), "app1"), *LOUD, others=broken)
    assert done.code == 1
    assert sorted(locks(done)) == sorted(2 * ["app1", "app2", "lb1"])


@pytest.mark.parametrize("locked", ["app1", "lb1"])
def test_a_run_that_does_not_get_it_changes_nothing(
    deploy: Deploy, tiers: MakeFleet, bare: Converged, converged: Converged, locked: str
) -> None:
    fleet = tiers()
    surveys = spoilt(converged(fleet), "app1", "app2")
    # Each of these would be the first change of its host.
    for name in fleet.names:
        surveys[name]["packages"].pop("python3")
    done = deploy(fleet, surveys, *LOUD, others={f"@fake/{locked}": REFUSED})
    assert done.code == 1
    assert {program for _, program in done.programs} == {"survey"}
    (line,) = re.findall(r"\[@fake/\w+\] +(another run is at work.*)", done.said)
    assert line.startswith(
        f"another run is at work on @fake/{locked}: anna@laptop has had the lock"
    )
    assert "Traceback" not in done.said
    # What it had of it already, it gave back.
    assert locks(done).count(locked) == 1
    if locked == "lb1":
        assert locks(done).count("app1") == locks(done).count("app2") == 2
    else:
        assert locks(done) == ["app1"], "where runs meet comes first"


def test_a_host_that_can_not_be_locked(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone()
    silent = {"@fake/one": {"wsdeploy-lock": {"success": False}}}
    done = deploy(fleet, spoilt(converged(fleet), "one"), *LOUD, others=silent)
    assert done.code == 1
    assert "@fake/one: the lock of this service can't be taken: it did not answer" in done.said
    assert not order(done, "rollout")


def test_a_bare_host_is_locked_when_it_has_python(
    deploy: Deploy, alone: MakeFleet, bare: Converged
) -> None:
    nothing = {"@fake/one": {"wsdeploy-lock": json.dumps({"bare": True})}}
    fleet = alone()
    done = deploy(fleet, bare(fleet), *LOUD, others=nothing)
    assert done.code == 0, done.said
    assert len(locks(done)) > 2, "it was tried again"


def history(letters: str, live: str | None = None, previous: str | None = None) -> dict[str, Any]:
    records = [
        {
            "generation": letter * 12,
            "release": f"release-{letter}",
            "version": letter,
            "listen": "unix:/run/ws/x",
            "processes": 4,
            "deployed": 1000 - age,
            "since": 1000 - age,
            "by": "anna@laptop",
        }
        for age, letter in enumerate(letters)
    ]
    answer = {"live": (live or letters[0]) * 12, "previous": previous and previous * 12}
    return {"wsdeploy-history": json.dumps(answer | {"records": records})}


def test_a_rollback(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers()
    others = dict.fromkeys(fleet.names[:2], history("cba", previous="b"))
    for name in fleet.names[:2]:
        others[name] = others[name] | {"wsdeploy-restore": "{}"}
    done = deploy(fleet, converged(fleet), *LOUD, others=others, what=["wsdeploy.rollback"])
    assert done.code == 0, done.said
    assert order(done, "restore") == ["app1", "app2"]
    assert "[@fake/app1] back to generation bbbbbbbbbbbb (release release-b)" in done.said
    assert set(locks(done)) == {"app1", "app2", "lb1"}
    assert done.programs_of("lb1") == []


def test_a_rollback_that_fails_goes_no_further(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    others = dict.fromkeys(fleet.names[:2], history("cba", previous="b"))
    broken = {"wsdeploy-restore": {"success": False, "stderr": "ws_03 is not healthy"}}
    others["@fake/app1"] = others["@fake/app1"] | broken
    done = deploy(fleet, converged(fleet), *LOUD, others=others, what=["wsdeploy.rollback"])
    assert done.code == 1
    assert order(done, "restore") == ["app1"]
    assert "retire" not in {program for _, program in done.programs}


@pytest.mark.parametrize("to", ["aaaaaaaaaaaa", "release-a"])
def test_a_rollback_by_name(
    deploy: Deploy, alone: MakeFleet, converged: Converged, to: str
) -> None:
    fleet = alone()
    others = {"@fake/one": history("cba", previous="b")}
    what = ["wsdeploy.rollback", f"to={to}"]
    done = deploy(fleet, converged(fleet), *LOUD, others=others, what=what)
    assert done.code == 0, done.said
    assert "back to generation aaaaaaaaaaaa" in done.said


@pytest.mark.parametrize("generation_id", ["000000000000", "000000000e00"])
def test_an_id_that_looks_like_a_number(
    deploy: Deploy, alone: MakeFleet, converged: Converged, generation_id: str
) -> None:
    fleet = alone()
    known = history("c0", previous="0")
    others = {"@fake/one": {k: v.replace("0" * 12, generation_id) for k, v in known.items()}}
    what = ["wsdeploy.rollback", f"to={generation_id}"]
    done = deploy(fleet, converged(fleet), *LOUD, others=others, what=what)
    assert done.code == 0, done.said
    assert f"back to generation {generation_id}" in done.said


def test_no_way_back_is_one_line(deploy: Deploy, alone: MakeFleet, converged: Converged) -> None:
    fleet = alone()
    others = {"@fake/one": history("c")}
    for options in LOUD, ("--dry", "--debug"):
        what = ["wsdeploy.rollback"]
        done = deploy(fleet, converged(fleet), *options, others=others, what=what)
        assert done.code == 1
        assert "@fake/one has nothing to go back to from generation cccccccccccc" in done.said
        assert "Traceback" not in done.out
        assert not order(done, "restore")


def test_a_restart(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers()
    done = deploy(fleet, converged(fleet), *LOUD, what=["wsdeploy.restart"])
    assert done.code == 0, done.said
    assert order(done, "restore") == ["app1", "app2"]


def test_releases_are_shown_and_nothing_else(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    others = dict.fromkeys(fleet.names[:2], history("cba", live="b", previous="a"))
    done = deploy(fleet, converged(fleet), *LOUD, others=others, what=["wsdeploy.releases"])
    assert done.code == 0, done.said
    row = "bbbbbbbbbbbb  release-b  1970-01-01 00:16:39  anna@laptop  live"
    assert f"[@fake/app1] {row}" in done.said
    assert f"[@fake/app2] {row}" in done.said
    assert {program for _, program in done.programs} == {"history"}
    assert done.locks == []


def test_unlock(deploy: Deploy, alone: MakeFleet, converged: Converged) -> None:
    fleet = alone()
    for before, said in (
        (HELD, "the lock is free now; anna@laptop has had the lock since"),
        (HELD | {"until": 1.0}, "nobody has the lock"),
        (None, "nobody has the lock"),
    ):
        others = {"@fake/one": {"wsdeploy-lock": json.dumps({"before": before})}}
        what = ["wsdeploy.unlock"]
        done = deploy(fleet, converged(fleet), *LOUD, others=others, what=what)
        assert done.code == 0, done.said
        assert f"[@fake/one] {said}" in done.said
        assert done.programs == []


def test_a_host_that_no_inventory_names_any_more(
    deploy: Deploy, alone: MakeFleet, tiers: MakeFleet, converged: Converged, folder: Path
) -> None:
    """It is named once more, by itself, and all that its settings know of it is its name."""
    was = converged(tiers(proxy="HAProxy()", app='listen="tcp"'))
    (folder / "app.py").unlink()
    for name in ("@fake/app1", "@fake/lb1"):
        others = {name: {"wsdeploy-remove": json.dumps({"removed": []})}}
        gone = alone(name.removeprefix("@fake/"))
        done = deploy(gone, {name: was[name]}, *LOUD, others=others, what=["wsdeploy.remove"])
        assert done.code == 0, done.said
        assert done.programs_of(name.removeprefix("@fake/")).count("remove") == 1


MIGRATE = 'before_release=["python", "-m", "chat.migrate"], after_release=["python", "-m", "told"]'


def commands(done: Run) -> list[str]:
    return [
        host.removeprefix("@fake/") for host, name in done.programs if name == "release_command"
    ]


def test_commands_of_a_release_run_once_on_the_first_host(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers(app=MIGRATE)
    done = deploy(fleet, spoilt(converged(fleet), "app2"), *LOUD)
    assert done.code == 0, done.said
    found = [name for _, name in done.programs if name in ("release_command", "rollout", "retire")]
    assert found == ["release_command", "rollout", "release_command"]
    assert commands(done) == ["app1", "app1"]


def test_commands_that_have_run_do_not_run_again_unless_asked(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers(app=MIGRATE)
    surveys = spoilt(converged(fleet), "app1", "app2")
    release = contents.release(fleet.settings, Survey(bare=True)).id
    kinds: list[Kind] = ["before_release", "after_release"]
    keys = [release_commands.key(fleet.settings, kind, release) for kind in kinds]
    # On the host that ran them then.
    surveys["@fake/app2"]["texts"][paths.release_commands("ws")] = json.dumps(keys)
    assert commands(deploy(fleet, surveys, *LOUD)) == []
    again = deploy(fleet, surveys, *LOUD, "--data", "before_release=again")
    assert commands(again) == ["app1"]


def test_a_command_before_the_release_waits_for_one(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers(app=MIGRATE)
    # The other one has not run for what serves.
    done = deploy(fleet, converged(fleet), *LOUD)
    assert commands(done) == ["app1"]
    assert "After the release" in done.said
