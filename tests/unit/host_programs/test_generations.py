"""Generations under Supervisor: which there are, how they start, and what is left of them."""

import os
import subprocess
import threading
import types
from typing import Any

import pytest

from tests.unit.host_programs.conftest import MakeFile, Supervisord, Until, rollout_request
from wshost.common import storage, supervisor
from wshost.common.listen import Listen
from wshost.rollout import description, generations
from wshost.rollout.generations import Generation

NEW, OLD, OLDER = "c" * 12, "b" * 12, "a" * 12


def process(
    group: str, name: str = "ws_00", statename: str = "RUNNING", pid: int = 7
) -> dict[str, Any]:
    return {"group": group, "name": name, "statename": statename, "pid": pid}


def names(calls: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [call for call in calls if call[0] != "getAllProcessInfo"]


def test_those_that_run_and_those_with_a_file(
    supervisord: Supervisord, root: types.SimpleNamespace
) -> None:
    supervisord.processes = [process(f"ws-{OLD}"), process(f"ws-{OLD}", "ws_01")]
    for generation_id in (OLDER, OLD):
        Generation("ws", generation_id).conf.touch()
    assert list(generations.generations("ws")) == [Generation("ws", OLDER), Generation("ws", OLD)]


def test_other_programs_are_no_generations(
    supervisord: Supervisord, root: types.SimpleNamespace
) -> None:
    for other in (
        "celery",
        "ws",
        "ws-worker",
        f"wsx-{OLD}",
        f"ws-chat-{OLD}",
        f"chat-ws-{OLD}",
        f"ws-{OLD}x",
    ):
        supervisord.processes.append(process(other))
        (description.CONF / f"{other}.conf").touch()
    assert list(generations.generations("ws")) == []
    assert list(generations.generations("ws-chat")) == [Generation("ws-chat", OLD)]


def test_the_live_one(root: types.SimpleNamespace) -> None:
    assert generations.live("ws") is None
    (root.path / "run/ws/current").symlink_to(NEW)
    assert generations.live("ws") == NEW


def test_where_it_listens(root: types.SimpleNamespace) -> None:
    new = Generation("ws", NEW)
    assert not new.listens(Listen.read("tcp:10.0.0.1:8000"))
    generations.write(new, rollout_request(NEW, "tcp:10.0.0.1:8000"))
    assert new.listens(Listen.read("tcp:10.0.0.1:8000"))
    assert not new.listens(Listen.read("tcp:10.0.0.1:800"))
    assert not new.listens(Listen.read("shared:10.0.0.1:8000"))


def test_a_process_by_its_name(supervisord: Supervisord) -> None:
    supervisord.processes = [
        process(f"ws-{OLD}", "ws_01", pid=5),
        process(f"ws-{NEW}", "ws_00", pid=6),
        process(f"ws-{NEW}", "ws_01", pid=7),
    ]
    assert Generation("ws", NEW).pid("ws_01") == 7
    assert Generation("ws", NEW).pid("ws_02") == 0


@pytest.mark.parametrize("autostart", [True, False])
def test_adding(supervisord: Supervisord, root: types.SimpleNamespace, autostart: bool) -> None:
    new = Generation("ws", NEW)
    supervisord.faults["addProcessGroup"] = (90, "ALREADY_ADDED: ws")  # by a killed run
    generations.add(new, rollout_request(NEW), autostart=autostart)
    assert names(supervisord.calls) == [("reloadConfig",), ("addProcessGroup", f"ws-{NEW}")]
    waits = "autostart=true" if autostart else "autostart=false"
    assert new.conf.read_text() == f"[program:ws-{NEW}]\n{waits}\nautorestart=true\n"
    assert new.environment.read_text() == 'A="@one@"\n'
    described = new.described()
    assert described is not None
    assert described["environment"] == str(new.environment).removeprefix(str(root.path))
    assert described["listen"] == f"unix:/run/ws/{NEW}"
    modes = [path.stat().st_mode & 0o777 for path in (new.conf, new.environment)]
    assert modes == [0o644, 0o640]
    # Sockets are for the app and the proxy's group, logs for root and adm.
    assert new.sockets.stat().st_mode & 0o7777 == 0o2750
    assert new.logs.stat().st_mode & 0o7777 == 0o750
    assert root.owners == {
        f"/run/ws/{NEW}": ("ws", "ws-proxy"),
        f"/var/log/ws/{NEW}": ("root", "adm"),
    }


def test_adding_what_supervisor_refuses(
    supervisord: Supervisord, root: types.SimpleNamespace
) -> None:
    supervisord.faults["reloadConfig"] = (92, "CANT_REREAD: nonsense in another file")
    with pytest.raises(supervisor.SupervisorError, match="nonsense in another file"):
        generations.add(Generation("ws", NEW), rollout_request(NEW))


def test_starting_what_does_not_run(supervisord: Supervisord) -> None:
    supervisord.processes = [
        process(f"ws-{NEW}", "ws_00", "RUNNING"),
        process(f"ws-{NEW}", "ws_01", "STARTING"),
        process(f"ws-{NEW}", "ws_02", "FATAL"),
        process(f"ws-{NEW}", "ws_03", "STOPPED"),
        process(f"ws-{OLD}", "ws_00", "STOPPED"),
    ]
    # What can't be started is the gate's to tell.
    supervisord.faults["startProcess"] = (50, "SPAWN_ERROR: ws_02")
    generations.start(Generation("ws", NEW))
    assert names(supervisord.calls) == [
        ("startProcess", f"ws-{NEW}:ws_02", False),
        ("startProcess", f"ws-{NEW}:ws_03", False),
    ]
    supervisord.calls.clear()
    generations.start(Generation("ws", NEW), "ws_00", "ws_03")
    assert names(supervisord.calls) == [("startProcess", f"ws-{NEW}:ws_03", False)]


def test_stopping_one(supervisord: Supervisord) -> None:
    supervisord.faults["stopProcess"] = (70, "NOT_RUNNING: ws_01")
    generations.stop(Generation("ws", OLD), "ws_01", 1)
    assert names(supervisord.calls) == [("stopProcess", f"ws-{OLD}:ws_01")]


def test_removing_stops_forgets_and_leaves_the_logs(
    supervisord: Supervisord, root: types.SimpleNamespace
) -> None:
    old = Generation("ws", OLD)
    for folder in (old.sockets, old.logs):
        folder.mkdir()
    for path in (old.conf, old.environment, old.sockets / "ws_00.sock"):
        path.touch()
    generations.remove(old, 1)
    assert names(supervisord.calls) == [
        ("stopProcessGroup", f"ws-{OLD}"),
        ("removeProcessGroup", f"ws-{OLD}"),
        ("reloadConfig",),
    ]
    assert [path.exists() for path in (old.conf, old.environment, old.sockets)] == [False] * 3
    assert old.logs.exists()


def test_files_that_the_app_has_left_in_its_working_directory_are_kept(
    supervisord: Supervisord, root: types.SimpleNamespace
) -> None:
    old = Generation("ws", OLD)
    old.sockets.mkdir()
    for name in ("chat.db", ".starts-ws_00"):
        (old.sockets / name).write_text(name)
    (old.sockets / "uploads").mkdir()
    (old.sockets / "uploads/one").touch()
    os.mkfifo(old.sockets / "pipe")
    (old.sockets / "link").symlink_to("/etc/passwd")
    generations.remove(old, 1)
    left = storage.STATE / f"services/ws/left/{OLD}"
    assert left.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in left.iterdir()) == ["chat.db", "uploads"]
    assert (left / "chat.db").read_text() == "chat.db"
    assert (left / "uploads/one").exists()
    # It is retired again, with a file of the same name.
    old.sockets.mkdir()
    (old.sockets / "chat.db").write_text("newer")
    generations.remove(old, 1)
    assert left.with_name(f"{OLD}.2").joinpath("chat.db").read_text() == "newer"


def test_what_is_left_can_neither_end_the_run_nor_fill_the_disk(
    supervisord: Supervisord, root: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "LEFT_MOST", 10_000_000)
    old = Generation("ws", OLD)
    old.sockets.mkdir()
    with open(old.sockets / "core", "wb") as file:
        file.truncate(50_000_000_000)
    (old.sockets / "large").write_bytes(os.urandom(12_000_000))
    deep = os.open(old.sockets, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=deep)
        deeper = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)
    generations.remove(old, 1)
    assert not old.sockets.exists()
    left = storage.STATE / f"services/ws/left/{OLD}"
    assert sorted(path.name for path in left.iterdir()) == ["core", "d", "not-kept"]
    assert (left / "core").stat().st_size == 50_000_000_000
    assert (left / "core").stat().st_blocks * 512 < 1_000_000
    assert "'large'" in (left / "not-kept").read_text()
    subprocess.run(["rm", "-rf", left], check=True)


def test_folders_of_logs_that_somebody_has_removed_come_back(
    supervisord: Supervisord, root: types.SimpleNamespace, file: MakeFile
) -> None:
    """Supervisor would read none of its files otherwise."""
    supervisord.processes = [{"group": f"ws-{OLD}", "name": "ws_00", "pid": 1}]
    generations.add(Generation("ws", NEW), rollout_request(NEW))
    assert Generation("ws", OLD).logs.is_dir()


def test_a_file_of_supervisors_that_is_broken_leaves_none_of_ours(
    supervisord: Supervisord, root: types.SimpleNamespace, file: MakeFile
) -> None:
    new = Generation("ws", NEW)
    supervisord.faults["reloadConfig"] = (92, "CANT_REREAD: nonsense in another file")
    with pytest.raises(supervisor.SupervisorError):
        generations.add(new, rollout_request(NEW))
    assert not new.conf.exists()


def test_how_a_process_ended(supervisord: Supervisord) -> None:
    new = Generation("ws", NEW)
    supervisord.log = (
        "INFO exited: ws_00 (exit status 3; not expected)\n"
        "INFO exited: ws_01 (terminated by SIGKILL; not expected)\n"
    )
    assert new.last_end("ws_00") == "exit status 3"
    assert new.last_end("ws_01") == "terminated by SIGKILL"
    assert new.last_end("ws_02") == "Supervisor does not say how"


def test_removing_what_supervisor_does_not_know(
    supervisord: Supervisord, root: types.SimpleNamespace
) -> None:
    for method in ("stopProcessGroup", "removeProcessGroup"):
        supervisord.faults[method] = (10, "BAD_NAME: ws")
    old = Generation("ws", OLD)
    old.conf.touch()
    generations.remove(old, 1)
    assert not old.conf.exists()


def test_what_can_not_be_stopped_is_not_forgotten(
    supervisord: Supervisord, root: types.SimpleNamespace
) -> None:
    supervisord.faults["removeProcessGroup"] = (91, "STILL_RUNNING: ws")
    old = Generation("ws", OLD)
    old.conf.touch()
    with pytest.raises(supervisor.SupervisorError, match="STILL_RUNNING"):
        generations.remove(old, 1)
    assert old.conf.exists()


def test_what_a_run_that_was_killed_is_stopping_is_waited_for(
    supervisord: Supervisord, root: types.SimpleNamespace, until: Until
) -> None:
    """Its processes are no more to be stopped, and not gone yet."""
    supervisord.faults["removeProcessGroup"] = (91, "STILL_RUNNING: ws")
    removing = threading.Thread(target=generations.remove, args=(Generation("ws", OLD), 60))
    removing.start()
    until(lambda: any(call[0] == "removeProcessGroup" for call in supervisord.calls))
    supervisord.faults.clear()
    removing.join(30)
    assert not removing.is_alive()
    assert not Generation("ws", OLD).conf.exists()


def test_last_lines_of_the_app(root: types.SimpleNamespace) -> None:
    new = Generation("ws", NEW)
    assert new.last_lines() == f"It logged nothing to {new.logs}."
    new.logs.mkdir()
    (new.logs / "ws_00.log").touch()
    (new.logs / "ws_01.log").write_text("".join(f"line {number}\n" for number in range(100)))
    assert new.last_lines(3).splitlines() == [
        f"The last lines of {new.logs / 'ws_01.log'}:",
        "line 97",
        "line 98",
        "line 99",
    ]


def test_descriptions_without_a_file_of_supervisors(root: types.SimpleNamespace) -> None:
    """As of one that was killed while its files were written or removed."""
    generations.write(Generation("ws", NEW), rollout_request(NEW))
    Generation("ws", NEW).conf.unlink()
    for other in ("ws-chat-0123456789ab.json", "ws-worker.json", "ws-0123.json"):
        (description.CONF / other).touch()
    assert generations.descriptions("ws") == [description.path(Generation("ws", NEW).conf)]
