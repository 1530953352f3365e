"""The lock of a fleet on one host: who gets it, who does not, and who may go on."""

import json
import stat
import subprocess
import time
from pathlib import Path
from typing import cast

import pytest

from tests.unit.host_programs.conftest import Start, Until
from wshost.common import lock, storage
from wshost.requests import BreakLock, Claim, LockAnswer, LockState, ReleaseLock, Run, TakeLock

HERS: Run = {
    "id": "hers",
    "owner": "anna@laptop",
    "process": {"pid": 7, "start": "1", "where": "x"},
}
HIS: Run = {**HERS, "id": "his", "owner": "bert@desk"}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(storage, "STATE", tmp_path / "state")
    return tmp_path / "state"


def take(run: Run = HERS, over: str | None = None, **more: LockState | None) -> LockAnswer:
    request = {"run": run, "over": over, "step": "Packages on a"} | more
    return lock.take("ws", cast(TakeLock, request))


def free(action: str, **more: str) -> LockAnswer:
    return lock.free("ws", cast(ReleaseLock | BreakLock, {"action": action, **more}))


def held() -> LockState:
    found = lock.read("ws")
    assert found is not None
    return found


def test_the_first_one_gets_it(state: Path) -> None:
    assert take() == {"taken": True, "before": None}
    found = held()
    assert found == HERS | {"since": found["since"], "step": "Packages on a", "until": None}
    assert abs(found["since"] - time.time()) < 60
    for folder in (state / "services", state / "services/ws"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_second_one_does_not() -> None:
    take()
    before = lock.read("ws")
    assert take(HIS) == {"taken": False, "before": before}
    assert lock.read("ws") == before
    # For the one that has it, it is no change.
    assert take()["taken"]


def test_it_is_not_released_while_something_is_at_work(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0)
    take()
    with storage.exclusive(state):
        assert free("release", id="hers")["busy"]
        assert held()["until"] is None
    assert "busy" not in free("release", id="hers")
    assert held()["until"]


def test_services_do_not_mind_each_other() -> None:
    take()
    request: TakeLock = {
        "action": "take", "name": "chat", "run": HIS, "over": None, "step": "s"
    }  # fmt: skip
    assert lock.take("chat", request) == {"taken": True, "before": None}


def test_release() -> None:
    take()
    free("release", id="his")
    assert held()["until"] is None, "it is not his to release"
    free("release", id="hers")
    until = held()["until"]
    assert until is not None
    assert until >= held()["since"]
    assert take(HIS)["taken"]


def test_who_has_looked_before_another_was_there_gets_nothing() -> None:
    take()
    free("release", id="hers")
    hers = held()
    assert take(HIS, seen=None) == {"taken": False, "before": hers}
    assert take(HIS, seen={**hers, "until": None}) == {"taken": False, "before": hers}
    assert take(HIS, seen=hers)["taken"]


def test_who_has_seen_none_where_there_is_none() -> None:
    assert take(seen=None)["taken"]


def test_over_one_that_is_gone(state: Path) -> None:
    take()
    assert not take(HIS, over="somebody else")["taken"]
    before = lock.read("ws")
    assert take(HIS, over="hers", seen=before) == {"taken": True, "before": before}
    assert held()["owner"] == "bert@desk"


def test_what_one_that_is_gone_has_left_at_work_is_waited_for(
    state: Path, program: Start, until: Until
) -> None:
    take()
    code = (
        "import sys\nfrom pathlib import Path\nfrom wshost.common import storage\n"
        f"with storage.exclusive(Path({str(state)!r})):\n"
        "    print('at work', flush=True)\n    sys.stdin.readline()\n"
    )
    working = program(code, stdin=subprocess.PIPE)
    assert working.stdout is not None
    assert working.stdout.readline() == "at work\n"
    request = {"run": HIS, "over": "hers", "step": "s"}
    waiting = program(
        "import json, sys\nfrom pathlib import Path\nfrom wshost.common import lock, storage\n"
        f"storage.STATE = Path({str(state)!r})\n"
        "print('waiting', flush=True)\n"
        "print(lock.take('ws', json.loads(sys.argv[1]))['taken'])\n",
        request,
    )
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "waiting\n"
    # It waits in flock, which the kernel shows.
    until(lambda: f" {waiting.pid} " in blocked())
    assert held()["id"] == "hers"
    assert working.stdin is not None
    working.stdin.write("\n")
    working.stdin.flush()
    assert waiting.stdout.readline() == "True\n"


def blocked() -> str:
    """The lines of the kernel's list of locks that somebody waits for."""
    with open("/proc/locks") as locks:
        return "".join(line for line in locks if "->" in line)


def test_a_run_goes_on_only_with_its_lock() -> None:
    claim: Claim = {"name": "ws", "id": "hers", "step": "Processes on a"}
    with pytest.raises(SystemExit) as ended:
        lock.check(claim)
    assert "nobody" in str(ended.value)
    take()
    lock.check(claim)
    assert held()["step"] == "Processes on a"
    free("break", by="cleo@desk")
    with pytest.raises(SystemExit) as ended:
        lock.check(claim)
    assert str(ended.value) == (
        "the lock of this run was taken away (cleo@desk); it changes nothing more here"
    )
    take(HIS)
    with pytest.raises(SystemExit) as ended:
        lock.check(claim)
    assert "bert@desk" in str(ended.value)


def test_breaking_what_nobody_has() -> None:
    assert free("break", by="cleo@desk") == {"before": None}
    assert lock.read("ws") is None


def test_nonsense_is_no_lock(state: Path) -> None:
    take()
    (state / "services/ws/lock.json").write_text("{")
    assert lock.read("ws") is None


def test_main(capsys: pytest.CaptureFixture[str]) -> None:
    lock.main({"action": "take", "name": "ws", "run": HERS, "over": None, "step": "s"})
    assert json.loads(capsys.readouterr().out) == {"taken": True, "before": None}
    lock.main({"action": "release", "name": "ws", "id": "hers"})
    assert json.loads(capsys.readouterr().out)["before"]["until"] is None
