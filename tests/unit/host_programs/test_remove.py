"""What a service takes with it when it goes, and what comes back."""

import json
import types
from pathlib import Path

import pytest

from wshost.common import lock, storage
from wshost.config import remove


def test_a_file_that_was_there_before_comes_back(
    root: types.SimpleNamespace, tmp_path: Path
) -> None:
    ours = tmp_path / "nginx.conf"
    ours.write_text("ours")
    kept = storage.STATE / "before" / str(ours).lstrip("/")
    kept.parent.mkdir(parents=True)
    kept.write_text("somebody's")
    remove.put_back(str(ours))
    assert ours.read_text() == "somebody's"
    kept.unlink()
    remove.put_back(str(ours))
    assert not ours.exists()
    remove.put_back(str(ours))


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "file").touch()
    remove.clear([str(tmp_path / name) for name in ("folder", "link", "file", "nothing")])
    assert [path.name for path in tmp_path.iterdir() if path.name != "host"] == ["elsewhere"]


def test_the_last_service_leaves_no_state(root: types.SimpleNamespace) -> None:
    sets = storage.STATE / "sets"
    sets.mkdir(parents=True)
    for name in ("ws-system", "ws-nginx", "chat-system"):
        text = json.dumps({"digest": "d", "paths": [f"/etc/{name}"]})
        (sets / f"{name}.json").write_text(text)
    lock.folder("ws")
    assert [remove.marked(each) for each in remove.markers("ws")] == [
        ["/etc/ws-nginx"], ["/etc/ws-system"]
    ]  # fmt: skip
    remove.clear_state("ws")
    assert [path.name for path in sets.iterdir()] == ["chat-system.json"]
    assert not (storage.STATE / "services/ws").exists()
    remove.clear_state("chat")
    assert not storage.STATE.exists()


def test_what_ran_before(root: types.SimpleNamespace) -> None:
    assert lock.ran_before() is None
    note = storage.STATE / "before" / "units.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps(["nginx.service", "sshd.service"]))
    assert lock.ran_before() == ["nginx.service"]
    note.write_text("{}")
    assert lock.ran_before() is None


def test_what_a_service_leaves_beyond_its_files_goes_too(
    root: types.SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(remove, "run", lambda *words: commands.append(words))
    for name in ("ours.log", "ours.log.1", "theirs.log"):
        (tmp_path / name).touch()
    (tmp_path / "programs/wshost").mkdir(parents=True)
    found = remove.remove(
        {
            "name": "no-such-service",
            "units": ["no-such-service-reach.service"],
            "debian_units": ["nginx.service"],
            "leaves": [f"{tmp_path}/ours.log*", f"{tmp_path}/programs"],
            "stop_wait": 1,
            "data": True,
        }
    )
    assert found == []
    left = {path.name for path in tmp_path.iterdir()}
    assert "theirs.log" in left
    assert not left & {"ours.log", "ours.log.1", "programs"}
    stopped = [words[-1] for words in commands if "disable" in words]
    # It has no drop-in of nginx's, so nginx is somebody else's.
    assert stopped == ["no-such-service-reach.service"]
