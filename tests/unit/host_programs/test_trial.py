"""A process is tried where no client is, if it listens where it is told to."""

import socket
import subprocess
import sys

import pytest

from tests.unit.host_programs.conftest import rollout_request
from wshost.rollout import generations, trial
from wshost.rollout.gate import GateClosedError
from wshost.rollout.generations import Generation

LISTENER = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def tried(monkeypatch, port):
    """Try a generation whose process listens at an address; return the outcome and the steps."""

    def run(address, healthy=True):
        steps = []
        listen = f"tcp:127.0.0.1:{port}"
        process = subprocess.Popen(
            [sys.executable, "-c", LISTENER, address, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

        def wait_healthy(generation, names, terms):
            steps.append((names, str(terms.listen)))
            if not healthy:
                raise GateClosedError("no")

        def add(generation, request, listen, autostart):
            steps.append((str(listen), autostart))

        monkeypatch.setattr(generations, "add", add)
        monkeypatch.setattr(generations, "start", lambda _, name: steps.append(name))
        monkeypatch.setattr(generations, "remove", lambda *_: steps.append("removed"))
        monkeypatch.setattr(trial, "wait_healthy", wait_healthy)
        monkeypatch.setattr(Generation, "pid", lambda *_: process.pid)
        request = rollout_request("c" * 12, listen, start_timeout=20)
        try:
            assert process.stdout.readline() == b"ready\n"
            return trial.held(Generation("ws", "c" * 12), request), steps
        finally:
            process.communicate()

    return run


def test_one_process_elsewhere(tried, port):
    passed, steps = tried(trial.ADDRESS)
    elsewhere = f"tcp:{trial.ADDRESS}:{port}"
    assert passed
    assert steps == [
        (elsewhere, False),
        "ws_00",
        (["ws_00"], elsewhere),
        "removed",
    ]


def test_an_app_that_listens_where_it_likes_can_not_be_tried(tried):
    passed, steps = tried("0.0.0.0")
    assert not passed
    assert steps[2:] == ["removed"]


def test_an_unhealthy_one_is_removed(tried):
    with pytest.raises(GateClosedError):
        tried(trial.ADDRESS, healthy=False)
