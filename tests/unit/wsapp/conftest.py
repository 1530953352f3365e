"""Apps as processes of their own, spoken to over real sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import connect, unix_connect

REPOSITORY = Path(__file__).parents[3]
PATIENCE = 60
"""Seconds in which anything that should happen has happened, on a slow machine too."""

UPGRADE = (
    b"GET /chat?token=secret HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def until(condition):
    """Poll until the condition holds; return what it returned."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return result


class App:
    """One process of an app."""

    def __init__(self, program, log, env, umask=-1):
        self.log_file = log
        self.socket = env.get("WS_SOCKET")
        self.address = (env.get("WS_HOST"), int(env.get("WS_PORT", 0)))
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, program],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **env},
                stdout=output,
                stderr=output,
                umask=umask,
            )

    @property
    def log(self):
        return self.log_file.read_text()

    def log_has(self, text):
        until(lambda: text in self.log)

    def ready(self):
        until(lambda: "listening on" in self.log or self.process.poll() is not None)
        assert self.process.poll() is None, self.log
        return self

    def connect(self, **options):
        """Return websockets' client."""
        options = {"proxy": None, "ping_interval": None} | options
        if self.socket:
            return unix_connect(self.socket, **options)
        return connect(f"ws://{self.address[0]}:{self.address[1]}/", **options)

    def raw(self, sent=b""):
        """Return a bare connection."""
        if self.socket:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(PATIENCE)
            client.connect(self.socket)
        else:
            client = socket.create_connection(self.address, PATIENCE)
        client.sendall(sent)
        return client

    def ask(self, request):
        """Return the whole response to a request given as bytes."""
        with self.raw(request) as client:
            return read_all(client)

    def get(self, path, *headers):
        lines = [f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]
        return self.ask("\r\n".join(lines).encode()).decode()

    def metric(self, sample):
        """Return one sample's value, None if there is no such sample."""
        for line in self.get("/metrics").splitlines():
            if line.startswith(sample + " "):
                return float(line.rpartition(" ")[2])
        return None

    def log_objects(self):
        return [json.loads(line) for line in self.log.splitlines()]

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, within=PATIENCE):
        return self.process.wait(within)


def read_all(client):
    received = b""
    while chunk := client.recv(65536):
        received += chunk
    return received


@pytest.fixture
def start(tmp_path):
    """Start an app: files/app.py on a unix socket unless told otherwise."""
    apps = []

    def start_app(program=REPOSITORY / "files" / "app.py", *, umask=-1, ready=True, **env):
        if isinstance(program, str):
            source = tmp_path / f"app{len(apps)}.py"
            source.write_text(program)
            program = source
        if "WS_PORT" not in env:
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
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


@pytest.fixture
def upgrade():
    return UPGRADE


@pytest.fixture(name="until")
def until_fixture():
    return until


@pytest.fixture(name="read_all")
def read_all_fixture():
    return read_all
