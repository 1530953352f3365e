"""The program that a pod's startup probe runs, as it is in the image."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.unit.cluster.conftest import Plan, container
from wsdeploy.cluster import startup


@pytest.fixture
def port() -> Iterator[int]:
    """An app that refuses handshakes of /broken."""

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/broken":
            return connection.respond(HTTPStatus.INTERNAL_SERVER_ERROR, "no database today")
        return None

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, process_request=answer) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.socket.getsockname()[1]


def probe(plan: Plan, place: Path, port: int, path: str = "/") -> subprocess.CompletedProcess[str]:
    """Do what a node does, with the program in another folder."""
    for name, text in startup.files().items():
        file = place / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    *_, folder, given = container(plan())["startupProbe"]["exec"]["command"]
    request: dict[str, Any] = json.loads(given)
    request["target"] |= {"address": ["127.0.0.1", port], "path": path}
    request |= {"wait": 0, "send": "hi", "expect": "hi"}
    words = [sys.executable, "-I", "-S", f"{place}{folder}", json.dumps(request)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def test_it_needs_nothing_but_python_and_a_websocket(plan: Plan, tmp_path: Path, port: int) -> None:
    done = probe(plan, tmp_path, port)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_says_what_is_wrong(plan: Plan, tmp_path: Path, port: int) -> None:
    done = probe(plan, tmp_path, port, "/broken")
    assert done.returncode == 1
    assert "500" in done.stderr
    done = probe(plan, tmp_path, 1)
    assert done.stderr == "the app does not listen on 127.0.0.1:1\n"
