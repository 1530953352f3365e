"""What is left of earlier generations goes; what is live stays."""

import json
import os
import shutil
import types
from pathlib import Path

import pytest

from tests.unit.host_programs.conftest import Supervisord
from wshost.requests import Retire
from wshost.rollout import clients, description, retire
from wshost.rollout.clients import Count
from wshost.rollout.generations import Generation

NEW, OLD, OLDER = "c" * 12, "b" * 12, "a" * 12
KEPT = Generation("ws", NEW)


@pytest.fixture
def host(root: types.SimpleNamespace, supervisord: Supervisord) -> Path:
    """A host with the generation that serves, one that runs, and remains of one before."""
    supervisord.processes = [
        {"group": group, "name": "ws_00"} for group in (f"ws-{NEW}", f"ws-{OLD}", "ws-worker")
    ]
    for generation_id in (NEW, OLD, OLDER):
        generation = Generation("ws", generation_id)
        generation.sockets.mkdir()
        described = description.path(generation.conf)
        socket = generation.sockets / "ws_00.sock"
        for path in (generation.environment, generation.conf, described, socket):
            path.touch()
    Generation("ws", OLDER).conf.unlink()
    (root.path / "run/ws/current").symlink_to(NEW)
    for others in ("etc/ws/local.env", "etc/ws/firewall.nft"):
        (root.path / others).touch()
    (root.path / "run/ws/local").mkdir()
    folder: Path = root.path
    return folder


def test_only_the_one_that_serves_is_left(host: Path, supervisord: Supervisord) -> None:
    assert retire.retire(KEPT, 1) == [OLD]
    stopped = [call for call in supervisord.calls if "ProcessGroup" in call[0]]
    assert stopped == [("stopProcessGroup", f"ws-{OLD}"), ("removeProcessGroup", f"ws-{OLD}")]
    assert sorted(os.listdir(host / "run/ws")) == [NEW, "current", "local"]
    assert sorted(os.listdir(host / "etc/ws")) == [f"{NEW}.env", "firewall.nft", "local.env"]
    left = sorted(os.listdir(host / "etc/supervisor/conf.d"))
    assert left == [f"ws-{NEW}.conf", f"ws-{NEW}.json"]
    assert (host / f"run/ws/{NEW}/ws_00.sock").exists()


def test_what_was_lent_to_the_proxy_is_taken_back(host: Path, supervisord: Supervisord) -> None:
    folder = host / f"run/ws/{NEW}"
    (folder / "ws_02.sock").symlink_to(f"../{OLD}/ws_02.sock")
    # The app's own.
    (folder / "newest").symlink_to("ws_00.sock")
    retire.retire(KEPT, 1)
    assert not (folder / "ws_02.sock").is_symlink()
    assert (folder / "newest").is_symlink()


def test_a_second_time_changes_nothing(host: Path, supervisord: Supervisord) -> None:
    retire.retire(KEPT, 1)
    supervisord.processes = [{"group": f"ws-{NEW}", "name": "ws_00"}]
    supervisord.calls.clear()
    assert retire.retire(KEPT, 1) == []
    assert {call[0] for call in supervisord.calls} == {"getAllProcessInfo", "getPID"}


def test_main(host: Path, capsys: pytest.CaptureFixture[str], supervisord: Supervisord) -> None:
    request: Retire = {"name": "ws", "generation": NEW, "stop_wait": 1}
    retire.main(request)
    assert json.loads(capsys.readouterr().out) == {"retired": [OLD]}
    supervisord.faults["removeProcessGroup"] = (91, f"STILL_RUNNING: ws-{OLD}")
    with pytest.raises(SystemExit) as ended:
        retire.main(request)
    assert str(ended.value) == f"ws: removeProcessGroup: STILL_RUNNING: ws-{OLD}"


def test_what_the_app_has_put_in_the_way_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is the app's to write to, and root writes there."""
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    precious = tmp_path / "shadow"
    precious.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".move").symlink_to(precious)
    retire._place(folder / ".move", "0.05\n", "ws")
    assert precious.read_text() == "precious"
    assert (folder / ".move").read_text() == "0.05\n"
    assert not (folder / ".move").is_symlink()


def test_a_folder_in_the_way_keeps_nobody_from_retiring(
    host: Path, supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisord.processes = [
        {"group": f"ws-{OLD}", "name": "ws_00", "statename": "RUNNING", "pid": os.getpid()}
    ]
    monkeypatch.setattr(clients, "counted", lambda _: {os.getpid(): Count(2, 1)})
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    (host / f"run/ws/{OLD}/.move/x").mkdir(parents=True)
    retire.move_few([Generation("ws", OLD)], retire.Watch(KEPT))
    assert (host / f"run/ws/{OLD}/.move/x").is_dir()


def test_connections_that_are_no_clients_are_not_waited_for(
    host: Path, supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisord.processes = [
        {"group": f"ws-{OLD}", "name": "ws_00", "statename": "RUNNING", "pid": os.getpid()}
    ]
    monkeypatch.setattr(clients, "counted", lambda _: {os.getpid(): Count(1, 0)})
    monkeypatch.setattr(retire, "_place", lambda *_: pytest.fail("it was asked"))
    retire.move_few([Generation("ws", OLD)], retire.Watch(KEPT))


@pytest.mark.parametrize(("shares", "times"), [(True, 2), (False, 1)])
def test_a_few_more_move_where_those_of_a_dead_process_may_come_to_the_old_ones(
    host: Path, supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch, shares: bool, times: int
) -> None:
    for name, value in (("TRIAL", 0.1), ("SECOND_CHANCE", 0.1), ("LOOK", 0.01)):
        monkeypatch.setattr(retire, name, value)
    asked: list[Generation] = []

    def ask(old: Generation) -> bool:
        asked.append(old)
        return True

    monkeypatch.setattr(retire, "_ask", ask)
    monkeypatch.setattr(retire, "_shares_its_place", lambda old, new: shares)
    supervisord.processes = [
        {"group": f"ws-{NEW}", "name": "ws_00", "statename": "RUNNING", "pid": 1}
    ]
    watch = retire.Watch(KEPT)
    supervisord.processes = [
        {"group": f"ws-{NEW}", "name": "ws_00", "statename": "RUNNING", "pid": 2}
    ]
    old = Generation("ws", OLD)
    retire.move_few([old], watch)
    assert asked == [old] * times
