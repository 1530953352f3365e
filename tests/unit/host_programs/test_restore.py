"""What is rolled out when an earlier generation comes back, or the live one is started anew."""

import types
from collections.abc import Callable

import pytest

from tests.unit.host_programs.conftest import Supervisord, rollout_request
from wshost.common import atomic, progress
from wshost.requests import Rollout
from wshost.rollout import generations, history, restore, rollout

OLD, LIVE = "a" * 12, "b" * 12


Ask = Callable[[str | None], tuple[Rollout, str]]


@pytest.fixture
def asked(
    root: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch, supervisord: Supervisord
) -> Ask:
    """A host on which one generation was live and another is; notes what is rolled out."""
    before = None
    for generation_id in (OLD, LIVE):
        (root.path / f"srv/ws/releases/release-{generation_id[0]}").mkdir()
        atomic.link(root.path / "run/ws/current", generation_id)
        history.went_live(rollout_request(generation_id), "deploy", before)
        before = generation_id
    found: list[tuple[Rollout, str]] = []
    monkeypatch.setattr(
        rollout, "carry_out", lambda request, action: found.append((request, action))
    )

    def ask(wanted: str | None) -> tuple[Rollout, str]:
        restore.main({"name": "ws", "restore": wanted, "by": "bert@desk", "later": ["app2"]})
        return found.pop()

    return ask


def test_an_earlier_one_as_it_was(asked: Ask) -> None:
    request, action = asked(OLD)
    assert action == "rollback"
    assert request == rollout_request(OLD) | {"by": "bert@desk", "later": ["app2"]}


def test_the_live_one_by_another_name(asked: Ask) -> None:
    request, action = asked(None)
    assert action == "restart"
    changed = {"generation": f"{LIVE}-1", "by": "bert@desk", "later": ["app2"]}
    assert request == rollout_request(LIVE) | changed


def test_a_restart_tells_what_it_starts_anew(asked: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(progress, "tell", told.append)
    asked(None)
    assert told == [{"served": history.serving(rollout_request(LIVE))}]


def test_names_of_restarts() -> None:
    assert generations.next_id(LIVE) == f"{LIVE}-1"
    assert generations.next_id(f"{LIVE}-9") == f"{LIVE}-10"


def test_what_is_not_there_any_more(asked: Ask, root: types.SimpleNamespace) -> None:
    with pytest.raises(SystemExit, match="there is no record of generation cccccccccccc"):
        asked("c" * 12)
    (root.path / "srv/ws/releases/release-a").rmdir()
    with pytest.raises(SystemExit, match=r"release release-a of generation .* is not on this host"):
        asked(OLD)
