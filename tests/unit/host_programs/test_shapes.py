"""State files that hold JSON of another shape count as not there."""

import json
import os
import types
from pathlib import Path

import pytest

from tests.unit.host_programs.conftest import AsRequest, MakeFile, rollout_request
from wshost import requests
from wshost.common import lock
from wshost.config import apply_files, ruleset
from wshost.rollout import history
from wshost.watchdog import health_request

SHAPES = ["{}", "[]", "null", "5", '"text"', '{"paths": 5}', '{"digest": 5, "paths": []}', "", "{"]


@pytest.mark.parametrize("text", SHAPES)
def test_a_marker(
    root: types.SimpleNamespace, file: MakeFile, as_request: AsRequest, tmp_path: Path, text: str
) -> None:
    state = tmp_path / "state"
    (state / "sets").mkdir(parents=True)
    (state / "sets/one.json").write_text(text)
    made = tmp_path / "made"
    request: requests.ApplyFiles = {
        "name": "one", "digest": "d", "absent": [], "validate": [], "prepare": [], "activate": [],
        "verify": [], "files": [file(str(made), "text").to_json()],
    }  # fmt: skip
    apply_files.apply(request, state)
    assert made.read_text() == "text"
    assert json.loads((state / "sets/one.json").read_text())["digest"] == "d"


@pytest.mark.parametrize("text", [*SHAPES, '{"id": "x", "until": null}'])
def test_a_lock(root: types.SimpleNamespace, text: str) -> None:
    (lock.folder("ws") / "lock.json").write_text(text)
    assert lock.read("ws") is None
    assert lock.free("ws", {"action": "break", "name": "ws", "by": "anna"}) == {"before": None}
    taken = lock.take("ws", TAKE)
    assert taken["taken"]
    state = lock.read("ws")
    assert state is not None
    assert state["owner"] == "anna"


TAKE: requests.TakeLock = {
    "action": "take",
    "name": "ws",
    "run": {"id": "1", "owner": "anna", "process": {"pid": 1, "start": "2", "where": None}},
    "step": "start",
    "over": None,
}


@pytest.mark.parametrize("text", [*SHAPES, '{"request": {}, "deployed": 1, "since": 1}'])
def test_a_record(root: types.SimpleNamespace, text: str) -> None:
    folder = lock.folder("ws") / "generations"
    folder.mkdir()
    path = folder / f"{'a' * 12}.json"
    path.write_text(text)
    path.chmod(0o600)
    assert history.records("ws") == []


def test_a_record_that_others_can_write(root: types.SimpleNamespace) -> None:
    """Who can write what root starts is root."""
    history.went_live(rollout_request("a" * 12), "deploy", None)
    (path,) = (lock.folder("ws") / "generations").glob("*.json")
    assert len(history.records("ws")) == 1
    path.chmod(0o622)
    assert history.records("ws") == []


def test_what_was_there_before_is_kept_for_ever(file: MakeFile, tmp_path: Path) -> None:
    state, made = tmp_path / "state", tmp_path / "nginx.conf"
    state.mkdir()
    made.write_text("somebody's")
    for number in range(5):
        request: requests.ApplyFiles = {
            "name": "one", "digest": str(number), "absent": [], "validate": [], "prepare": [],
            "activate": [], "verify": [],
            "files": [file(str(made), f"ours {number}").to_json()],
        }  # fmt: skip
        apply_files.apply(request, state)
    assert (state / "before" / str(made).lstrip("/")).read_text() == "somebody's"
    assert (state / "before").stat().st_mode & 0o777 == 0o700


def test_a_process_that_may_open_no_more_files_is_alive(tmp_path: Path) -> None:
    asked = health_request.Question(str(tmp_path / "nobody"), b"GET / HTTP/1.1\r\n\r\n")
    before = asked.reply
    assert before == "absent"
    asked._fail(32)
    assert asked.reply == "answered", "it has accepted and closed"


def test_the_loaded_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nft"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(ruleset, "STATE", tmp_path / "services")

    def loads(text: str, code: int = 0) -> None:
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
        program.chmod(0o755)

    loads("table inet ws {\n\tset tries {\n\t\ttype ipv4_addr\n\t}\n}")
    assert not ruleset.as_noted("ws"), "nothing is noted"
    ruleset.main("ws")
    assert ruleset.as_noted("ws")
    counted = "table inet ws {\n\tset tries {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1,\n"
    loads(f"{counted}\t\t\t     10.0.0.2 }}\n\t}}\n}}")
    assert ruleset.as_noted("ws"), "who has tried is no rule"
    loads("table inet ws {\n\tset tries {\n\t\ttype ipv4_addr\n\t}\n\tchain x { accept }\n}")
    assert not ruleset.as_noted("ws")
    loads("", 1)
    assert not ruleset.as_noted("ws"), "somebody has flushed them"
