"""A command of a release, run once: what is told, remembered and left behind."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.host_programs.conftest import Supervisord, rollout_request
from wshost.common import lock, progress
from wshost.requests import Progress, ReleaseCommand
from wshost.rollout import generations, history, release_command

KEY = "d" * 12


@pytest.fixture
def request_(root: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> ReleaseCommand:
    monkeypatch.setattr(release_command, "POLL", 0.001)
    monkeypatch.setattr(lock, "folder", lambda name: root.path / "var/lib/wsdeploy/services" / name)
    (root.path / "var/lib/wsdeploy/services/ws").mkdir(parents=True)
    monkeypatch.setattr(history, "log_change", noted := Noted())
    made = {
        **rollout_request(KEY, processes=1, release="0123456789ab"),
        "kind": "before_release",
        "key": KEY,
        "seconds": 60,
        "commit": None,
    }
    return cast(ReleaseCommand, made | {"noted": noted})


class Noted:
    """What stands for the log of changes."""

    def __call__(self, action: str, request: object, by: str) -> "Noted":
        self.action = action
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.failed = kind is not None


class Program:
    """A process that Supervisor is told to start: it prints, and ends with a status."""

    def __init__(self, supervisord: Supervisord, root: SimpleNamespace, **how: Any) -> None:
        self.log = root.path / f"var/log/ws/{KEY}/ws_00.log"
        self.how: dict[str, Any] = {"statename": "EXITED", "exitstatus": 0, "prints": b""} | how
        dispatch = supervisord._dispatch

        def started(method: str, parameters: tuple[Any, ...]) -> Any:
            answer = dispatch(method, parameters)
            if method == "supervisor.startProcess":
                with self.log.open("ab") as file:
                    file.write(self.how["prints"])
                supervisord.processes = [
                    {"group": f"ws-{KEY}", "name": "ws_00", "pid": 0, "start": 1}
                    | {name: it for name, it in self.how.items() if name != "prints"}
                ]
            return answer

        supervisord._dispatch = started  # type: ignore[method-assign]


def told(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    news: list[Progress] = []
    monkeypatch.setattr(progress, "tell", news.append)
    return news


def remembered(root: SimpleNamespace) -> list[str]:
    path: Path = root.path / "var/lib/wsdeploy/services/ws/release-commands.json"
    found: list[str] = json.loads(path.read_text()) if path.exists() else []
    return found


def test_it_runs_is_told_and_is_remembered(
    request_: ReleaseCommand,
    root: SimpleNamespace,
    supervisord: Supervisord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    news = told(monkeypatch)
    Program(supervisord, root, prints=b"one\n\x1b[2Jtwo\n")
    release_command.main(request_)
    assert [each["said"] for each in news] == ["one", "\\x1b[2Jtwo"]
    assert remembered(root) == [KEY]
    # Nothing of it is left but its log.
    assert not generations.of(request_).conf.exists()
    assert ("removeProcessGroup", f"ws-{KEY}") in supervisord.calls
    assert (root.path / f"var/log/ws/{KEY}/ws_00.log").exists()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"exitstatus": 3}, "before_release ended with exit status 3\nThe last lines of"),
        ({"statename": "FATAL"}, "before_release can't start\n"),
        ({"statename": "RUNNING"}, "before_release took longer than 0.05 s (App.release_timeout)"),
    ],
)
def test_one_that_fails_is_not_remembered(
    request_: ReleaseCommand,
    root: SimpleNamespace,
    supervisord: Supervisord,
    how: dict[str, Any],
    said: str,
) -> None:
    Program(supervisord, root, prints=b"no such table\n", **how)
    request_["seconds"] = 0.05
    with pytest.raises(SystemExit) as end:
        release_command.main(request_)
    assert str(end.value).startswith(said)
    assert "no such table" in str(end.value)
    assert remembered(root) == []
    assert request_["noted"].failed  # type: ignore[typeddict-item]
    assert not generations.of(request_).conf.exists()


def test_what_a_killed_run_has_left_goes_first(
    request_: ReleaseCommand, root: SimpleNamespace, supervisord: Supervisord
) -> None:
    generations.add(generations.of(request_), request_, autostart=False)
    Program(supervisord, root)
    release_command.main(request_)
    removed = [name for name, *_ in supervisord.calls].index("removeProcessGroup")
    assert removed < [name for name, *_ in supervisord.calls].index("startProcess")


def test_only_what_is_new_in_the_log_is_told(
    request_: ReleaseCommand,
    root: SimpleNamespace,
    supervisord: Supervisord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    news = told(monkeypatch)
    program = Program(supervisord, root, prints=b"now\n")
    program.log.parent.mkdir(parents=True)
    program.log.write_text("last time\n")
    release_command.main(request_)
    assert [each["said"] for each in news] == ["now"]


def test_a_host_remembers_the_last_ones(request_: ReleaseCommand, root: SimpleNamespace) -> None:
    for number in range(release_command.KEYS + 5):
        release_command.remember("ws", str(number))
    release_command.remember("ws", "20")
    assert len(remembered(root)) == release_command.KEYS
    assert remembered(root)[-2:] == [str(release_command.KEYS + 4), "20"]
