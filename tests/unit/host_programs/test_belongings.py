"""What belongs to a generation, however it was started, ends with it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wshost.rollout import belongings, launch
from wshost.rollout.belongings import Belongings

GROUP = f"ws-{os.getpid():012x}"
ENVIRONMENT = {
    "SUPERVISOR_GROUP_NAME": GROUP,
    "SUPERVISOR_PROCESS_NAME": "ws_00",
    "PATH": os.environ["PATH"],
}
# Has a child in a session of its own that ignores SIGTERM; both say that they are there.
FAMILY = """
import os, signal, sys, time
if not os.fork():
    os.setsid()
    if sys.argv[1] == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(600)
"""


StartFamily = Callable[..., tuple[subprocess.Popen[bytes], set[int]]]


@pytest.fixture
def family() -> Iterator[StartFamily]:
    """Start a process with a child; return their PIDs."""
    started: list[tuple[subprocess.Popen[bytes], set[int]]] = []

    def start(
        character: str = "meek", name: str = "ws_00", group: str = GROUP
    ) -> tuple[subprocess.Popen[bytes], set[int]]:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", FAMILY, character],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT | {"SUPERVISOR_PROCESS_NAME": name, "SUPERVISOR_GROUP_NAME": group},
        )
        assert process.stdout is not None
        pids = {int(process.stdout.readline()) for _ in range(2)}
        started.append((process, pids))
        return process, pids

    yield start
    for process, pids in started:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] != "Z":
                found.add(pid)
    return found


def test_those_that_have_its_environment(family: StartFamily) -> None:
    _, mine = family()
    _, others = family(name="ws_01")
    _, strange = family(group="ws-ffffffffffff")
    assert belongings.marked(GROUP) == mine | others
    assert belongings.marked(GROUP, "ws_00") == mine
    assert not belongings.marked("ws-0123456789a")
    assert alive(strange) == strange


def test_an_orphan_ends_too(family: StartFamily) -> None:
    process, pids = family()
    process.kill()
    process.wait()
    assert len(alive(pids)) == 1
    assert Belongings(GROUP, [process.pid]).end(time.monotonic() + 20) == 1
    assert alive(pids) == set()


def test_one_that_ignores_sigterm_is_killed_at_the_deadline(family: StartFamily) -> None:
    process, pids = family("stubborn")
    begun = time.monotonic()
    Belongings(GROUP, []).end(begun + 1.5)
    assert time.monotonic() - begun >= 1.4
    assert alive(pids - {process.pid}) == set()


def test_who_has_no_parent_of_supervisors_is_not_taken_for_a_leader(family: StartFamily) -> None:
    """A process ID that Supervisor has told may be somebody else's by now."""
    _, strange = family(group="ws-ffffffffffff")
    Belongings(GROUP, [*strange, 1, os.getpid()]).end(time.monotonic())
    assert alive(strange) == strange


def test_a_process_that_starts_ends_what_its_predecessor_has_left(
    family: StartFamily, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process, pids = family("stubborn")
    process.kill()
    process.wait()
    _, others = family(name="ws_01")
    launch.sweep(GROUP, "ws_00")
    end = time.monotonic() + 20
    while alive(pids) and time.monotonic() < end:
        time.sleep(0.01)
    assert alive(pids) == set()
    assert alive(others) == others


def test_starts_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for expected in ("1", "2", "3"):
        launch.count("ws_00")
        number, last = (tmp_path / ".starts-ws_00").read_text().split()
        assert number == expected
        assert abs(float(last) - time.time()) < 60
    (tmp_path / ".starts-ws_00").write_text("nonsense")
    launch.count("ws_00")
    assert (tmp_path / ".starts-ws_00").read_text().startswith("1 ")


def test_a_note_of_starts_is_not_trusted(tmp_path: Path) -> None:
    """The app's user writes it, and root reads it."""
    path = tmp_path / ".starts-ws_00"
    os.mkfifo(path)
    assert launch.starts(path) == (0, 0), "nobody waits for whoever writes to it"
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert launch.starts(path) == (0, 0)
    path.unlink()
    for text in ("2 inf", "nan", "", "1 2 3", "-5 7"):
        path.write_text(text)
        assert launch.starts(path) == ((0, 7) if text == "-5 7" else (0, 0))
    path.write_text("3 99999999999999999999")
    assert launch.starts(path) == (3, launch.MOST)
