"""The steps of a rollout and their order. The whole of it is tested on real hosts, with clients."""

import json
import os
import types
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.host_programs.conftest import Supervisord, rollout_request
from wshost.common import atomic, progress
from wshost.common.supervisor import SupervisorError
from wshost.requests import Commit, Progress, Rollout
from wshost.rollout import generations, history, rollout, trial
from wshost.rollout.gate import GateClosedError
from wshost.rollout.generations import Generation

Steps = tuple[list[str], dict[str, Exception]]
"""What was done, and what fails."""

NEW, OLD = "c" * 12, "b" * 12
TCP = "tcp:10.0.0.1:8000"


MakeRequest = Callable[..., Rollout]


@pytest.fixture
def request_for() -> MakeRequest:
    def make(listen: str = TCP, reuse_port: bool = True, generation_id: str = NEW) -> Rollout:
        return rollout_request(
            generation_id,
            listen,
            release="0123456789ab",
            later=["app2", "app3"],
            reuse_port=reuse_port,
        )

    return make


@pytest.fixture
def listens(root: SimpleNamespace) -> Callable[[str, str], None]:
    """Let a generation have its files, as if it listened there."""

    def at(generation_id: str, listen: str) -> None:
        generations.write(Generation("ws", generation_id), rollout_request(generation_id, listen))

    return at


@pytest.fixture
def steps(
    monkeypatch: pytest.MonkeyPatch, supervisord: Supervisord, root: SimpleNamespace
) -> Steps:
    """Note the steps of a rollout instead of taking them, and let those fail that a test names."""
    taken: list[str] = []
    faults: dict[str, Exception] = {}

    def note(module: types.ModuleType, name: str) -> None:
        def step(generation: Generation, *arguments: Any, **options: bool) -> None:
            words = [name, "new" if generation.id == NEW else "old"]
            for argument in arguments:
                if name in ("start", "stop") and isinstance(argument, str):
                    words.append(argument)
                elif name == "wait_healthy" and isinstance(argument, list):
                    words += argument
            taken.append(" ".join([*words, *(f"{k}={v}" for k, v in options.items())]))
            if taken[-1] in faults:
                raise faults[taken[-1]]

        monkeypatch.setattr(module, name, step)

    for name in ("add", "start", "stop", "remove"):
        note(generations, name)
    for name in ("wait_healthy", "switch"):
        note(rollout, name)
    note(trial, "held")
    clock = SimpleNamespace(
        sleep=lambda seconds: taken.append(f"sleep {seconds}"), time=lambda: 1_000_000_000.0
    )
    monkeypatch.setattr(rollout, "time", clock)
    supervisord.processes = [{"group": f"ws-{OLD}", "name": "ws_00"}]
    (root.path / "run/ws/current").symlink_to(OLD)
    return taken, faults


def run(request: Rollout) -> None:
    rollout.roll_out(Generation("ws", request["generation"]), request)


def test_the_new_one_serves_beside_the_old_one(steps: Steps, request_for: MakeRequest) -> None:
    taken, _ = steps
    run(request_for())
    assert taken == ["add new", "start new", "wait_healthy new ws_00 ws_01", "switch new"]


def test_where_both_share_a_port_one_process_is_tried_first(
    listens: Callable[[str, str], None], steps: Steps, request_for: MakeRequest
) -> None:
    taken, faults = steps
    listens(OLD, TCP)
    run(request_for())
    assert taken == [
        "held new", "add new", "start new", "wait_healthy new ws_00 ws_01", "switch new"
    ]  # fmt: skip
    taken.clear()
    faults["held new"] = GateClosedError("no")
    with pytest.raises(GateClosedError):
        run(request_for())
    assert taken == ["held new", "remove new", "start old"]


def test_it_is_told_when_clients_may_reach_what_is_not_checked_yet(
    listens: Callable[[str, str], None],
    steps: Steps,
    request_for: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken, faults = steps
    monkeypatch.setattr(progress, "tell", lambda news: taken.append(f"tell {[*news]}"))
    run(request_for())
    assert not [step for step in taken if step.startswith("tell")]
    taken.clear()
    listens(OLD, TCP)
    run(request_for())
    assert taken[:3] == ["held new", "tell ['reached']", "add new"]
    taken.clear()
    faults["held new"] = GateClosedError("no")
    with pytest.raises(GateClosedError):
        run(request_for())
    assert taken == ["held new", "remove new", "start old"]


def test_what_serves_is_not_tried_again(
    listens: Callable[[str, str], None],
    steps: Steps,
    request_for: MakeRequest,
    root: SimpleNamespace,
) -> None:
    taken, _ = steps
    listens(OLD, TCP)
    atomic.link(root.path / "run/ws/current", NEW)
    run(request_for())
    assert "held new" not in taken


def test_what_a_killed_trial_has_left_goes_first(
    listens: Callable[[str, str], None], steps: Steps, request_for: MakeRequest
) -> None:
    taken, _ = steps
    listens(NEW, "tcp:127.83.87.68:8000")
    run(request_for())
    assert taken[:2] == ["remove new", "add new"]


def test_an_unhealthy_one_goes_and_the_old_one_stays(
    steps: Steps, request_for: MakeRequest
) -> None:
    taken, faults = steps
    faults["wait_healthy new ws_00 ws_01"] = GateClosedError("no")
    with pytest.raises(GateClosedError):
        run(request_for())
    assert taken[2:] == ["wait_healthy new ws_00 ws_01", "remove new", "start old"]


def test_half_of_the_live_one_is_better_than_nothing(
    steps: Steps, request_for: MakeRequest, root: SimpleNamespace
) -> None:
    taken, faults = steps
    atomic.link(root.path / "run/ws/current", NEW)
    faults["wait_healthy new ws_00 ws_01"] = GateClosedError("no")
    with pytest.raises(GateClosedError):
        run(request_for())
    assert "remove new" not in taken


@pytest.mark.parametrize("step", ["add new", "start new"])
def test_a_start_that_fails_leaves_the_old_one(
    steps: Steps, request_for: MakeRequest, step: str
) -> None:
    taken, faults = steps
    faults[step] = SupervisorError("CANT_REREAD: nonsense in another file")
    with pytest.raises(SupervisorError):
        run(request_for())
    # Nothing stays that somebody's `supervisorctl update` would start.
    assert taken[-3:] == [step, "remove new", "start old"]


def test_a_generation_that_nobody_reaches_is_started_beside_itself(
    steps: Steps, request_for: MakeRequest, root: SimpleNamespace, supervisord: Supervisord
) -> None:
    taken, _ = steps
    old = Generation("ws", OLD)
    was = request_for(f"unix:{root.path}/run/ws/@GENERATION@", generation_id=OLD)
    history.went_live(was, "deploy", None)
    supervisord.processes = [
        {"group": old.group, "name": "ws_00", "statename": "RUNNING", "pid": 0}
    ]
    old.sockets.mkdir()
    (old.sockets / "ws_00.sock").touch()
    rollout.carry_out({**was}, "deploy")
    assert "add old" in taken
    taken.clear()
    (old.sockets / "ws_00.sock").unlink()
    (root.path / "run/ws/current").unlink()
    rollout.carry_out({**was}, "deploy")
    assert history.records("ws")[0].id == f"{OLD}-1"


@pytest.mark.parametrize(("before", "now"), [(False, True), (True, False), (False, False)])
def test_a_port_that_the_old_one_shares_in_another_way_is_refused(
    steps: Steps, request_for: MakeRequest, root: SimpleNamespace, before: bool, now: bool
) -> None:
    taken, _ = steps
    shared = request_for("shared:10.0.0.1:8001", before, OLD)
    history.went_live(shared, "deploy", None)
    with pytest.raises(GateClosedError, match=r"^port 8001 is that of generation b+, .*App\.port"):
        run(request_for(TCP, reuse_port=now))
    assert "add new" not in taken


REPLACED = [
    "add new autostart=False",
    "stop old ws_00",
    "start new ws_00",
    "wait_healthy new ws_00",
    "sleep 7",  # until the proxies know that ws_00 is back
    "stop old ws_01",
    "start new ws_01",
    "wait_healthy new ws_01",
]


def test_who_can_not_share_a_port_is_replaced_process_by_process(
    listens: Callable[[str, str], None],
    steps: Steps,
    request_for: MakeRequest,
    root: SimpleNamespace,
) -> None:
    taken, _ = steps
    listens(OLD, TCP)
    run(request_for(reuse_port=False))
    assert taken == [*REPLACED, "switch new"]
    # After a boot they all start by themselves.
    assert "autostart=true" in Generation("ws", NEW).conf.read_text()


def test_shared_addresses_stay_while_processes_are_replaced(
    listens: Callable[[str, str], None],
    steps: Steps,
    request_for: MakeRequest,
    root: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hold, seen = root.path / "run/ws/hold", []

    def healthy(*_: object) -> None:
        seen.append(hold.stat().st_mtime - 1_000_000_000)

    run(request_for())
    assert not hold.exists()
    monkeypatch.setattr(rollout, "wait_healthy", healthy)
    listens(OLD, TCP)
    request = request_for(reuse_port=False)
    script = root.path / "etc/keepalived/ws-serves.sh"
    script.parent.mkdir(parents=True)
    script.touch()
    run(request)
    # For as long as it may take, if this program is killed.
    each = request["stop_wait"] + request["back_after"] + request["start_timeout"]
    assert set(seen) == {2 * each + request["healthy_for"]}
    # Until a proxy has noticed the last one, when it is done.
    left = hold.stat().st_mtime - 1_000_000_000
    assert left == request["back_after"] + rollout.NOTICED


def test_a_replacement_that_fails_brings_the_old_one_back(
    listens: Callable[[str, str], None],
    steps: Steps,
    request_for: MakeRequest,
    root: SimpleNamespace,
) -> None:
    taken, faults = steps
    listens(OLD, TCP)
    faults["wait_healthy new ws_01"] = GateClosedError("no")
    with pytest.raises(GateClosedError):
        run(request_for(reuse_port=False))
    assert taken == [*REPLACED, "remove new", "start old"]


def test_nothing_is_in_the_way(
    listens: Callable[[str, str], None],
    steps: Steps,
    request_for: MakeRequest,
    root: SimpleNamespace,
) -> None:
    taken, _ = steps
    listens(OLD, TCP)
    for listen, reuse_port in (
        (TCP, True),
        ("tcp:10.0.0.1:9000", False),
        ("unix:/run/ws/c", False),
    ):
        run(request_for(listen, reuse_port))
    assert not [step for step in taken if step.startswith("stop")]


def link(root: SimpleNamespace, path: str) -> str:
    target: str = os.readlink(root.path / path)
    return target


def test_the_switch(root: SimpleNamespace, request_for: MakeRequest) -> None:
    new = Generation("ws", NEW)
    rollout.switch(new, request_for())
    assert (root.path / "etc/tmpfiles.d/ws-generation.conf").read_text() == (
        f"L+ /run/ws/current - - - - {NEW}\n"
    )
    assert link(root, "run/ws/current") == NEW
    assert link(root, "srv/ws/current") == "releases/0123456789ab"
    assert os.listdir(root.path / "run/ws") == ["current"]


def test_the_switch_is_told(
    root: SimpleNamespace, request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Progress] = []
    monkeypatch.setattr(progress, "tell", told.append)
    commit: Commit = {"id": "4f0c9de", "subject": "Add rooms", "changed": False}
    rollout.switch(Generation("ws", NEW), {**request_for(), "commit": commit})
    serves = {"generation": NEW, "release": "0123456789ab", "commit": commit}
    assert told == [{"serves": serves}]


def test_a_link_is_swapped_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "current"
    atomic.link(link, "one")
    seen, replace = [], os.replace

    def look_and_replace(*arguments: Any) -> None:
        # Whoever looks just before the last step still finds the old one.
        seen.append(os.readlink(link))
        replace(*arguments)

    monkeypatch.setattr(os, "replace", look_and_replace)
    atomic.link(link, "two")
    assert seen == ["one"]
    assert os.readlink(link) == "two"
    assert os.listdir(tmp_path) == ["current"]


def test_a_link_after_a_killed_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "current"
    atomic.link(link, "one")

    def killed(*_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            atomic.link(link, "two")
    assert os.readlink(link) == "one"
    atomic.link(link, "three")
    assert os.readlink(link) == "three"


def test_main_ends_with_the_apps_last_lines(
    steps: Steps, request_for: MakeRequest, root: SimpleNamespace
) -> None:
    _, faults = steps
    (root.path / f"var/log/ws/{NEW}").mkdir()
    (root.path / f"var/log/ws/{NEW}/ws_00.log").write_text("ImportError: no module chat\n")
    faults["wait_healthy new ws_00 ws_01"] = GateClosedError("ws_00 is not healthy")
    with pytest.raises(SystemExit) as ended:
        rollout.main(request_for())
    first, *_, app, last = str(ended.value).splitlines()
    assert first == "ws_00 is not healthy"
    assert app == "ImportError: no module chat"
    assert last == "app2, app3: left as it was"


def test_main_names_the_generation_when_supervisor_fails(
    steps: Steps, request_for: MakeRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    _, faults = steps
    rollout.main(request_for() | {"later": []})
    assert json.loads(capsys.readouterr().out) == {"generation": NEW}
    faults["add new"] = SupervisorError("CANT_REREAD: nonsense")
    with pytest.raises(SystemExit) as ended:
        rollout.main(request_for() | {"later": []})
    assert str(ended.value) == f"ws-{NEW}: CANT_REREAD: nonsense"
