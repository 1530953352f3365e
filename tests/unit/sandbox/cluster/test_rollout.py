"""Steps of a rolling update, and who goes first when there are to be fewer pods."""

from typing import Any

import pytest

from wsdeploy_sandbox.cluster import rollout
from wsdeploy_sandbox.cluster.rollout import Generation


def spec(replicas: int, surge: int | str = 1, missing: int | str = 0) -> dict[str, Any]:
    rolling = {"maxSurge": surge, "maxUnavailable": missing}
    return {"replicas": replicas, "strategy": {"rollingUpdate": rolling}}


def steps(wanted: dict[str, Any], *, ready: bool = True) -> list[tuple[int, int]]:
    """Roll two pods of an old set over, and return how many both sets had in turn."""
    new, old = 0, wanted["replicas"]
    seen: list[tuple[int, int]] = []
    while True:
        sizes = rollout.next_sizes(
            wanted, Generation("new", new, new if ready else 0), [Generation("old", old, old)]
        )
        if not sizes:
            return seen
        new, old = sizes.get("new", new), sizes.get("old", old)
        seen.append((new, old))


def test_one_at_a_time() -> None:
    assert steps(spec(2)) == [(1, 2), (1, 1), (2, 1), (2, 0)]


def test_all_at_once() -> None:
    assert steps(spec(3, surge=3)) == [(3, 3), (3, 0)]


def test_without_a_surge_an_old_one_goes_first() -> None:
    assert steps(spec(2, surge=0, missing=1)) == [(0, 1), (1, 1), (1, 0), (2, 0)]


def test_new_pods_that_are_never_ready_stop_it() -> None:
    assert steps(spec(2), ready=False) == [(1, 2)]
    assert steps(spec(4, surge=2), ready=False) == [(2, 4)]


def test_old_pods_that_are_broken_go_at_once() -> None:
    sizes = rollout.next_sizes(
        spec(2), Generation("new", 0, 0), [Generation("broken", 1, 0), Generation("old", 2, 2)]
    )
    assert sizes == {"broken": 0}


def test_new_ones_that_are_not_ready_count_for_nothing() -> None:
    old = [Generation("old", 3, 2)]
    assert rollout.next_sizes(spec(4, 1, 1), Generation("new", 2, 0), old) == {}
    assert rollout.next_sizes(spec(4, 1, 1), Generation("new", 2, 1), old) == {"old": 2}


def test_fewer_pods() -> None:
    assert rollout.next_sizes(spec(1), Generation("new", 3, 3), []) == {"new": 1}


@pytest.mark.parametrize(
    ("surge", "missing", "bounds"),
    [("25%", "25%", (1, 0)), (0, 0, (0, 1)), ("100%", 1, (2, 1))],
)
def test_shares(surge: int | str, missing: int | str, bounds: tuple[int, int]) -> None:
    assert rollout.bounds(spec(2, surge, missing)) == bounds


def pod(
    name: str, *, ready: str | None = "2026-11-30T00:00:00Z", cost: int = 0, restarts: int = 0
) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": ready}
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": "2026-11-30T00:00:00Z",
            "annotations": {"controller.kubernetes.io/pod-deletion-cost": str(cost)},
        },
        "status": {
            "phase": "Running",
            "conditions": [condition] if ready else [],
            "containerStatuses": [{"restartCount": restarts}],
        },
    }


def test_who_goes_first() -> None:
    pods = [
        pod("old", ready="2026-11-30T00:00:00Z"),
        pod("restarted", ready="2026-11-30T00:00:00Z", restarts=1),
        pod("young", ready="2026-11-30T01:00:00Z"),
        pod("dear", ready="2026-11-30T02:00:00Z", cost=9),
        # However dear it is, it goes first: nobody gets to it.
        pod("unready", ready=None, cost=2_000_000_000),
    ]
    order = [each["metadata"]["name"] for each in rollout.first_to_go(pods)]
    assert order == ["unready", "young", "restarted", "old", "dear"]


def test_a_template_of_before_is_found_again() -> None:
    template = {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": []}}
    marked = {"metadata": {"labels": {"a": "1", rollout.HASH: "x"}}, "spec": {"containers": []}}
    assert rollout.without_hash(marked) == template
    assert rollout.template_hash(marked) == rollout.template_hash(template)


def test_a_condition_keeps_its_time() -> None:
    old = rollout.condition("Ready", True, ("", ""), "yesterday", [])
    assert rollout.condition("Ready", True, ("", ""), "now", [old]) == old
    assert rollout.condition("Ready", False, ("", ""), "now", [old])["lastTransitionTime"] == "now"
