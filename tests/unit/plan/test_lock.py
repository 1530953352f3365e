"""What a run is told of another's lock."""

import socket

import pytest

from wsdeploy.deploy import owner
from wsdeploy.plan import fleet_lock as plan
from wsdeploy.settings.topology import Topology
from wshost.requests import LockState

HELD: LockState = {
    "id": "hers",
    "owner": "anna@laptop",
    "process": {"pid": 7, "start": "1", "where": "there"},
    "since": 0.0,
    "step": "App | Processes on app1",
    "until": None,
}
ENDED: LockState = {**HELD, "until": 60.0}


def test_the_first_app_host_is_first() -> None:
    topology = Topology(app=("app1", "both"), proxy=("both", "lb1"))
    assert plan.order(topology) == ("app1", "both", "lb1")


def test_whose_it_is_since_when_and_what_to_do() -> None:
    assert plan.refusal(HELD, "app1") == (
        "another run is at work on app1: anna@laptop has had the lock since 1970-01-01 00:00:00 "
        "UTC (process 7, last step: App | Processes on app1); wait for its end, or if it is gone, "
        "run pyinfra -y INVENTORY wsdeploy.unlock"
    )
    assert plan.refusal(ENDED, "app1") == (
        "anna@laptop has changed app1 since this run looked at it (at 1970-01-01 00:01:00 UTC); "
        "run it again"
    )


def test_what_is_abandoned() -> None:
    gone, there = (lambda _: True), (lambda _: False)
    assert plan.abandoned(HELD, gone)
    assert not plan.abandoned(HELD, there)
    assert not plan.abandoned(ENDED, gone)
    assert not plan.abandoned(None, gone)
    assert plan.is_free(None)
    assert plan.is_free(ENDED)
    assert not plan.is_free(HELD)


def test_only_a_process_of_this_machine_is_known_to_be_gone() -> None:
    own = owner.process()
    assert own["where"]
    assert not owner.is_gone(own)
    # Its number was given to another one since.
    assert owner.is_gone(own | {"start": "1"})
    assert owner.is_gone(own | {"pid": 2**22 + 1})
    assert not owner.is_gone(own | {"pid": 2**22 + 1, "where": "another machine"})
    assert not owner.is_gone(own | {"pid": 2**22 + 1, "where": None})


def test_who(monkeypatch: pytest.MonkeyPatch) -> None:
    owner.name.cache_clear()
    monkeypatch.setenv("SUDO_USER", "anna")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    assert owner.name() == "anna@laptop"
    owner.name.cache_clear()
