"""The lock of a service in a cluster."""

from wsdeploy.cluster import lease
from wsdeploy.cluster.lease import Holder
from wsdeploy.cluster.manifest import Object

ME = Holder("me@here", "run-1", {"pid": 7, "start": "1", "where": "here"})
NOW = 1_796_000_000.25


def held(holder: Holder | None = ME, now: float = NOW, before: Object | None = None) -> Object:
    made = lease.lease("ws", "chat", holder, now, before)
    made["metadata"].setdefault("resourceVersion", "7")
    return made


def test_a_lock_says_whose_it_is_since_when() -> None:
    assert not lease.is_free(held())
    assert lease.is_held_by(held(), ME)
    assert not lease.is_held_by(held(), Holder("me@here", "run-2", ME.process))
    assert lease.described(held()) == "me@here has had the lock since 2026-11-30 00:53:20 UTC"
    assert lease.refusal(held(), NOW + 5) == (
        "another run is at work: me@here has had the lock since 2026-11-30 00:53:20 UTC (renewed "
        "5 s ago); wait for its end, or if it is gone, until 60 s have passed"
    )


def test_a_renewed_lock_is_the_same_with_a_later_time() -> None:
    first = held()
    later = held(now=NOW + 15, before=first)
    assert later["spec"]["acquireTime"] == first["spec"]["acquireTime"]
    assert lease.silence(later, NOW + 20) == 5
    # Only if it is still as it was.
    assert later["metadata"]["resourceVersion"] == "7"


def test_a_lock_that_is_taken_over_begins_anew() -> None:
    other = Holder("you@there", "run-2", ME.process)
    taken = held(other, NOW + 100, held())
    assert taken["spec"]["acquireTime"] == taken["spec"]["renewTime"]
    assert taken["spec"]["holderIdentity"] == "you@there"


def test_a_lock_that_was_given_back_is_free() -> None:
    free = held(None, before=held())
    assert lease.is_free(free)
    assert lease.is_free(None)
    assert not lease.is_held_by(free, ME)
    # The API takes no empty name.
    assert "holderIdentity" not in free["spec"]


def test_who_can_be_asked_whether_it_is_gone() -> None:
    assert lease.is_left(held(), lambda process: process == ME.process)
    assert not lease.is_left(held(), lambda _: False)
    broken = held()
    broken["metadata"]["annotations"][lease.PROCESS] = "no JSON"
    assert not lease.is_left(broken, lambda _: True)
    del broken["metadata"]["annotations"]
    assert not lease.is_left(broken, lambda _: True)


def test_a_lock_without_a_time_was_left() -> None:
    broken = held()
    broken["spec"]["renewTime"] = None
    assert lease.silence(broken, NOW) >= lease.CERTAIN
