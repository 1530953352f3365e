"""Apps as processes of their own, spoken to over real sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
import websockets.asyncio.client
from websockets.asyncio.client import connect, unix_connect

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[3]
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
"""What lets `make coverage` see into other processes, too."""
PATIENCE = 60
"""Seconds in which anything that should happen has happened, on a slow machine too."""

UPGRADE = (
    b"GET /chat?token=secret HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Until(Protocol):
    """Polls until a condition holds; returns what it returned."""

    def __call__(self, condition: Callable[[], T]) -> T:
        """Fail when it takes too long."""


def until(condition: Callable[[], T]) -> T:
    """Poll until the condition holds; return what it returned."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return result


class App:
    """One process of an app."""

    def __init__(self, program: Path, log: Path, env: dict[str, str], umask: int = -1) -> None:
        self.log_file = log
        self.socket = env.get("WS_SOCKET", "")
        port = int(env.get("WS_PORT") or env.get("PORT") or 0)
        self.address = (env.get("WS_HOST", "127.0.0.1"), port)
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, program],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **MEASURED, **env},
                stdout=output,
                stderr=output,
                umask=umask,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def log_has(self, text: str) -> None:
        until(lambda: text in self.log)

    def ready(self) -> "App":
        until(lambda: "listening on" in self.log or self.process.poll() is not None)
        assert self.process.poll() is None, self.log
        return self

    def connect(self, **options: Any) -> websockets.asyncio.client.connect:
        """Return websockets' client."""
        options = {"proxy": None, "ping_interval": None} | options
        if self.socket:
            return unix_connect(self.socket, **options)
        return connect(f"ws://{self.address[0]}:{self.address[1]}/", **options)

    def raw(self, sent: bytes = b"") -> socket.socket:
        """Return a bare connection."""
        if self.socket:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(PATIENCE)
            client.connect(self.socket)
        else:
            client = socket.create_connection(self.address, PATIENCE)
        client.sendall(sent)
        return client

    def ask(self, request: bytes) -> bytes:
        """Return the whole response to a request given as bytes."""
        with self.raw(request) as client:
            return read_all(client)

    def get(self, path: str, *headers: str) -> str:
        lines = [f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]
        return self.ask("\r\n".join(lines).encode()).decode()

    def metric(self, sample: str) -> float | None:
        """Return one sample's value, None if there is no such sample."""
        for line in self.get("/metrics").splitlines():
            if line.startswith(sample + " "):
                return float(line.rpartition(" ")[2])
        return None

    def log_objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, within: float = PATIENCE) -> int:
        return self.process.wait(within)


def read_all(client: socket.socket) -> bytes:
    received = b""
    while chunk := client.recv(65536):
        received += chunk
    return received


Start = Callable[..., App]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an app: files/app.py on a unix socket unless told otherwise."""
    apps: list[App] = []

    def start_app(
        program: Path | str = REPOSITORY / "files" / "app.py",
        *,
        umask: int = -1,
        ready: bool = True,
        **env: str,
    ) -> App:
        if isinstance(program, str):
            source = tmp_path / f"app{len(apps)}.py"
            source.write_text(program)
            program = source
        if not env.keys() & {"WS_PORT", "PORT"}:
            env.setdefault("WS_SOCKET", str(tmp_path / "ws_00.sock"))
        app = App(program, tmp_path / f"log{len(apps)}", env, umask)
        apps.append(app)
        return app.ready() if ready else app

    yield start_app
    for app in apps:
        if app.process.poll() is None:
            app.process.kill()
        app.process.wait()


@pytest.fixture
def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


@pytest.fixture
def upgrade() -> bytes:
    return UPGRADE


@pytest.fixture(name="until")
def until_fixture() -> Until:
    return until


@pytest.fixture(name="read_all")
def read_all_fixture() -> Callable[[socket.socket], bytes]:
    return read_all
