"""A process is tried where no client is, if it listens where it is told to."""

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.unit.host_programs.conftest import rollout_request
from wshost.common.listen import Listen
from wshost.requests import Rollout
from wshost.rollout import generations, trial
from wshost.rollout.gate import GateClosedError, Readiness
from wshost.rollout.generations import Generation

LISTENER = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        found: int = probe.getsockname()[1]
        return found


TryOut = Callable[..., tuple[bool, list[object]]]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, port: int) -> TryOut:
    """Try a generation whose process listens at an address; return the outcome and the steps."""

    def run(address: str, healthy: bool = True) -> tuple[bool, list[object]]:
        steps: list[object] = []
        listen = f"tcp:127.0.0.1:{port}"
        process = subprocess.Popen(
            [sys.executable, "-c", LISTENER, address, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

        def wait_healthy(generation: Generation, names: list[str], readiness: Readiness) -> None:
            steps.append((names, str(readiness.listen)))
            if not healthy:
                raise GateClosedError("no")

        def add(generation: Generation, request: Rollout, listen: Listen, autostart: bool) -> None:
            steps.append((str(listen), autostart))

        monkeypatch.setattr(generations, "add", add)
        monkeypatch.setattr(generations, "start", lambda _, name: steps.append(name))
        monkeypatch.setattr(generations, "remove", lambda *_: steps.append("removed"))
        monkeypatch.setattr(trial, "wait_healthy", wait_healthy)
        monkeypatch.setattr(Generation, "pid", lambda *_: process.pid)
        request = rollout_request("c" * 12, listen, start_timeout=20)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            return trial.held(Generation("ws", "c" * 12), request), steps
        finally:
            process.communicate()

    return run


def test_one_process_elsewhere(tried: TryOut, port: int) -> None:
    passed, steps = tried(trial.ADDRESS)
    elsewhere = f"tcp:{trial.ADDRESS}:{port}"
    assert passed
    assert steps == [
        (elsewhere, False),
        "ws_00",
        (["ws_00"], elsewhere),
        "removed",
    ]


def test_an_app_that_listens_where_it_likes_can_not_be_tried(tried: TryOut) -> None:
    passed, steps = tried("0.0.0.0")
    assert not passed
    assert steps[2:] == ["removed"]


def test_an_unhealthy_one_is_removed(tried: TryOut) -> None:
    with pytest.raises(GateClosedError):
        tried(trial.ADDRESS, healthy=False)
