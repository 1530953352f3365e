"""What is left of earlier generations goes; what is live or would be rolled back to stays."""

import json
import os

import pytest

from wshost import apply_files, retire
from wshost.generations import Generation

NEW, OLD, OLDER = "c" * 12, "b" * 12, "a" * 12
KEPT = Generation("ws", NEW)


def aged(folder, count):
    """Make folders, the first the oldest; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:012x}" for number in range(count)]
    for age, name in enumerate(reversed(names)):
        (folder / name).mkdir()
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    return names


@pytest.fixture
def host(root, supervisord):
    """A host with the generation that serves, one that runs, and remains of one before."""
    supervisord.processes = [
        {"group": group, "name": "ws_00"} for group in (f"ws-{NEW}", f"ws-{OLD}", "ws-worker")
    ]
    for identity in (NEW, OLD, OLDER):
        generation = Generation("ws", identity)
        generation.sockets.mkdir()
        for path in (generation.environment, generation.conf, generation.sockets / "ws_00.sock"):
            path.touch()
    Generation("ws", OLDER).conf.unlink()
    (root.path / "run/ws/current").symlink_to(NEW)
    for others in ("etc/ws/local.env", "etc/ws/firewall.nft"):
        (root.path / others).touch()
    (root.path / "run/ws/local").mkdir()
    return root.path


def test_only_the_one_that_serves_is_left(host, supervisord):
    assert retire.retire(KEPT, 1) == [OLD]
    stopped = [call for call in supervisord.calls if "ProcessGroup" in call[0]]
    assert stopped == [("stopProcessGroup", f"ws-{OLD}"), ("removeProcessGroup", f"ws-{OLD}")]
    assert sorted(os.listdir(host / "run/ws")) == [NEW, "current", "local"]
    assert sorted(os.listdir(host / "etc/ws")) == [f"{NEW}.env", "firewall.nft", "local.env"]
    assert os.listdir(host / "etc/supervisor/conf.d") == [f"ws-{NEW}.conf"]
    assert (host / f"run/ws/{NEW}/ws_00.sock").exists()


def test_a_second_time_changes_nothing(host, supervisord):
    retire.retire(KEPT, 1)
    supervisord.processes = [{"group": f"ws-{NEW}", "name": "ws_00"}]
    supervisord.calls.clear()
    assert retire.retire(KEPT, 1) == []
    assert {call[0] for call in supervisord.calls} == {"getAllProcessInfo"}


def test_pruning_keeps_the_newest_and_those_in_use(root):
    base = root.path / "srv/ws"
    names = aged(base / "releases", 10)
    (base / "releases/.new-xyz").mkdir()
    (base / "current").symlink_to(f"releases/{names[0]}")
    (base / "previous").symlink_to(f"releases/{names[1]}")
    logs = aged(root.path / "var/log/ws", 8)
    retire.prune(Generation("ws", logs[0]))
    left = set(os.listdir(base / "releases"))
    # Somebody may be unpacking the one with a dot.
    assert left == {*names[-retire.KEEP :], names[0], names[1], ".new-xyz"}
    assert set(os.listdir(root.path / "var/log/ws")) == {*logs[-retire.KEEP :], logs[0]}


def test_pruning_few_removes_none(root):
    names = aged(root.path / "srv/ws/releases", retire.KEEP)
    retire.prune(KEPT)
    assert sorted(os.listdir(root.path / "srv/ws/releases")) == names


def test_main(host, tmp_path, monkeypatch, capsys, supervisord):
    monkeypatch.setattr(apply_files, "STATE", tmp_path / "state")
    request = {"name": "ws", "generation": NEW, "stop_wait": 1}
    retire.main(request)
    assert json.loads(capsys.readouterr().out) == {"retired": [OLD]}
    supervisord.faults["removeProcessGroup"] = (91, f"STILL_RUNNING: ws-{OLD}")
    with pytest.raises(SystemExit) as ended:
        retire.main(request)
    assert str(ended.value) == f"ws: removeProcessGroup: STILL_RUNNING: ws-{OLD}"


def test_logs_stay_that_were_written_last(host):
    names = aged(host / "var/log/ws", 8)
    # Its folder is the oldest, but its processes have only just gone.
    oldest = names[0]
    (host / f"var/log/ws/{oldest}/ws_00.log").write_text("stopped\n")
    retire.prune(KEPT)
    assert oldest in os.listdir(host / "var/log/ws")
