"""What a host remembers of its generations, and what a rollback goes back to."""

import json
import os
import stat
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.host_programs.conftest import Supervisord, rollout_request
from wshost.common import atomic
from wshost.requests import Commit
from wshost.rollout import description, generations, history
from wshost.rollout.generations import Generation
from wshost.rollout.history import KEEP


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second whenever somebody looks."""
    seconds = iter(range(1_000_000, 2_000_000))
    monkeypatch.setattr(time, "time", lambda: float(next(seconds)))


GoLive = Callable[..., None]


@pytest.fixture
def live(root: types.SimpleNamespace, clock: None, supervisord: Supervisord) -> GoLive:
    """Let generations go live; returns their records' letters from the newest to the oldest."""

    def go(
        letter: str,
        action: str = "deploy",
        release: str | None = None,
        generation_id: str | None = None,
        version: str | None = None,
        **more: Any,
    ) -> None:
        generation_id = generation_id or letter * 12
        request = rollout_request(
            generation_id,
            release=release or f"release-{letter}",
            version=version or letter,
            stop_wait=10,
            environment="secret",
            **more,
        )
        before = generations.live("ws")
        atomic.link(root.path / "run/ws/current", generation_id)
        atomic.link(root.path / "srv/ws/current", f"releases/{request['release']}")
        history.went_live(request, action, before)

    return go


def known() -> str:
    return "".join(record.id[0] for record in history.records("ws"))


def previous() -> str | None:
    found = history.previous("ws")
    return found.id[0] if found else None


def test_nothing_is_known_at_first(live: GoLive) -> None:
    assert history.records("ws") == []
    assert history.previous("ws") is None


def test_records_hold_all_and_are_for_root_alone(live: GoLive, root: types.SimpleNamespace) -> None:
    live("a")
    (record,) = history.records("ws")
    assert record.request["environment"] == "secret"
    folder = root.path / "var/lib/wsdeploy/services/ws/generations"
    assert os.listdir(folder) == ["a" * 12 + ".json"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / f"{'a' * 12}.json").stat().st_mode) == 0o600


def test_one_rollback_after_the_other_goes_further_back(live: GoLive) -> None:
    for letter in "abc":
        live(letter)
    assert (known(), previous()) == ("cba", "b")
    live("b", "rollback")
    assert (known(), previous()) == ("cba", "a")
    live("a", "rollback")
    assert (known(), previous()) == ("cba", None)


def test_a_bad_release_is_not_gone_back_to(live: GoLive) -> None:
    for letter in "abc":
        live(letter)
    live("b", "rollback")
    live("d")
    assert (known(), previous()) == ("dcba", "b")
    # Unless it was deployed again.
    live("c")
    assert (known(), previous()) == ("cdba", "d")


def test_forward_again_by_name(live: GoLive) -> None:
    for letter in "abc":
        live(letter)
    live("a", "rollback")
    live("c", "rollback")
    assert (known(), previous()) == ("cba", "a"), "b was withdrawn"


def test_a_restart_takes_the_place_of_what_it_restarts(
    live: GoLive, root: types.SimpleNamespace
) -> None:
    for letter in "ab":
        live(letter)
    again = "b" * 12 + "-1"
    live("b", "restart", generation_id=again)
    assert [record.id for record in history.records("ws")] == [again, "a" * 12]
    assert previous() == "a"


def test_the_same_version_is_nothing_to_go_back_to(live: GoLive) -> None:
    live("a")
    live("b")
    # The same deployment after an upgrade of Python, say.
    live("c", version="b")
    assert previous() == "a"


def test_mending_the_live_one_is_no_deployment(live: GoLive) -> None:
    live("a")
    live("b")
    (before, _) = history.records("ws")
    live("b")
    (after, _) = history.records("ws")
    assert after == before


COMMIT: Commit = {"id": "4f0c9de", "subject": "Add rooms", "changed": False}


def test_what_serves_is_noted_with_its_commit(live: GoLive, root: types.SimpleNamespace) -> None:
    note = root.path / "var/lib/wsdeploy/services/ws/serving.json"
    for letter, commit in (("a", None), ("b", COMMIT)):
        live(letter, commit=commit)
        assert json.loads(note.read_text()) == {
            "generation": letter * 12,
            "release": f"release-{letter}",
            "commit": commit,
        }
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert "secret" not in note.read_text()


def test_mending_leaves_the_commit(live: GoLive) -> None:
    live("a", commit=COMMIT)
    live("a", commit=COMMIT | {"id": "1234567", "subject": "Another, with the same code"})
    assert history.records("ws")[0].request["commit"] == COMMIT


def test_a_clock_that_was_wrong(live: GoLive, monkeypatch: pytest.MonkeyPatch) -> None:
    live("a")
    monkeypatch.setattr(time, "time", lambda: 5.0)
    live("b")
    assert (known(), previous()) == ("ba", "a")


def test_the_link_shows_what_a_rollback_goes_back_to(
    live: GoLive, root: types.SimpleNamespace
) -> None:
    link = root.path / "srv/ws/previous"
    live("a")
    assert not link.is_symlink()
    live("b")
    assert os.readlink(link) == "releases/release-a"
    live("c")
    live("b", "rollback")
    assert os.readlink(link) == "releases/release-a"
    live("a", "rollback")
    assert not link.is_symlink()


def test_few_records_are_kept_but_those_that_are_needed(live: GoLive) -> None:
    for letter in "0123456789":
        live(letter)
    assert known() == "98765"
    # Back to the oldest, and then new ones: what would be gone back to stays.
    live("5", "rollback")
    for letter in "abcdef":
        live(letter)
    assert known() == "fedcb"
    assert len(known()) == KEEP


def test_the_one_to_go_back_to_is_never_pruned(live: GoLive) -> None:
    live("a")
    live("b")
    for letter in "cdef":
        live(letter)
        live("b", "rollback")
    live("9")
    assert previous() == "b"
    assert len(known()) == KEEP


def aged(folder: Path, count: int) -> list[str]:
    """Make folders, the first the oldest; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:012x}" for number in range(count)]
    for age, name in enumerate(reversed(names)):
        (folder / name).mkdir()
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    return names


def test_pruning_keeps_the_newest_and_those_in_use(
    root: types.SimpleNamespace,
    live: GoLive,
    supervisord: Supervisord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = root.path / "srv/ws"
    names = aged(base / "releases", 12)
    (base / "releases/.new-xyz").mkdir()
    live("a", release=names[0])
    live("b", release=names[1])
    live("c", release=names[2])
    # One that a run which was killed has left running.
    left = Generation("ws", "d" * 12)
    generations.write(left, rollout_request(left.id, release=names[3]))
    described = description.path(left.conf)
    text = described.read_text()
    described.write_text("what nobody can read")
    history.prune("ws")
    assert len(os.listdir(base / "releases")) == 13, "any of them may be needed"
    described.write_text(text)
    logs = aged(root.path / "var/log/ws", 8)
    day, now = 86_400, time.time()
    for number, log in enumerate(logs):
        os.utime(root.path / "var/log/ws" / log, (now - (16 - number) * day,) * 2)
    monkeypatch.setattr(time, "time", lambda: now)
    (root.path / "var/log/ws/deploys.log").touch()
    atomic.link(root.path / "run/ws/current", logs[0])
    history.prune("ws")
    # Somebody may be unpacking the one with a dot.
    assert set(os.listdir(base / "releases")) == {*names[:4], names[-1], ".new-xyz"}
    # Two weeks of them, and the one that is live.
    assert set(os.listdir(root.path / "var/log/ws")) == {*logs[2:], logs[0], "deploys.log"}
    (root.path / "var/log/ws" / logs[-1] / "ws_00.log").write_text("a day of much traffic")
    monkeypatch.setattr(history, "LOG_BYTES", 10)
    history.prune("ws")
    assert set(os.listdir(root.path / "var/log/ws")) == {logs[0], "deploys.log"}


def test_pruning_few_removes_none(root: types.SimpleNamespace, supervisord: Supervisord) -> None:
    names = aged(root.path / "srv/ws/releases", KEEP)
    history.prune("ws")
    assert sorted(os.listdir(root.path / "srv/ws/releases")) == names


def noted(root: types.SimpleNamespace) -> list[dict[str, Any]]:
    log = root.path / "var/log/ws/deploys.log"
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_every_change_leaves_a_line(root: types.SimpleNamespace, live: GoLive) -> None:
    request = rollout_request("g", release="r")
    with history.log_change("deploy", request, "anna@laptop"):
        pass
    with (
        pytest.raises(OSError, match="full"),
        history.log_change("rollback", request, "anna@laptop"),
    ):
        raise OSError("the disk is full\nand more")
    first, second = noted(root)
    assert {**first, "time": "", "seconds": 0} == {
        "time": "",
        "by": "anna@laptop",
        "action": "deploy",
        "release": "r",
        "generation": "g",
        "commit": None,
        "outcome": "done",
        "seconds": 0,
    }
    assert first["time"].endswith("Z")
    assert (second["action"], second["outcome"]) == ("rollback", "failed: the disk is full")
    log = root.path / "var/log/ws/deploys.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o640
    assert ("root", "adm") in root.owned


def test_the_log_does_not_grow_for_ever(root: types.SimpleNamespace, live: GoLive) -> None:
    (root.path / "var/log/ws/deploys.log").write_text('{"n": 1}\n' * 2 * history.LINES)
    request = rollout_request("g", release="r")
    with history.log_change("deploy", request, "anna@laptop"):
        pass
    lines = noted(root)
    assert len(lines) == history.LINES
    assert lines[-1]["action"] == "deploy"


def test_an_answer_without_secrets(live: GoLive, capsys: pytest.CaptureFixture[str]) -> None:
    live("a")
    live("b")
    history.main({"name": "ws"})
    text = capsys.readouterr().out
    assert "secret" not in text
    answer = json.loads(text)
    assert (answer["live"], answer["previous"]) == ("b" * 12, "a" * 12)
    assert [record["generation"] for record in answer["records"]] == ["b" * 12, "a" * 12]


def test_a_broken_record_is_passed_over(live: GoLive, root: types.SimpleNamespace) -> None:
    live("a")
    (root.path / "var/lib/wsdeploy/services/ws/generations" / ("b" * 12 + ".json")).write_text("{")
    assert known() == "a"


def test_the_longest_drain_counts(live: GoLive) -> None:
    live("a")
    assert history.stop_wait("ws", 5) == 10
    assert history.stop_wait("ws", 15) == 15


def test_logs_stay_that_were_written_last(
    root: types.SimpleNamespace, supervisord: Supervisord
) -> None:
    logs = aged(root.path / "var/log/ws", 8)
    # Its folder is the oldest, but its processes have only just gone.
    (root.path / f"var/log/ws/{logs[0]}/ws_00.log").write_text("stopped\n")
    history.prune("ws")
    assert logs[0] in os.listdir(root.path / "var/log/ws")
