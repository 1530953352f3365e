"""Apps of every kind run from their releases, by the launcher, as they do on a host.

The releases are for this machine's Python, and are built from an index.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect, unix_connect

from wsdeploy import App, SelfSigned, Settings
from wsdeploy.inventory.local_files import check
from wsdeploy.plan.host.survey import Survey
from wsdeploy.release import build, contents
from wshost.rollout import probe

APPS = Path(__file__).parents[2] / "apps"
PATIENCE = 60
"""Seconds in which anything that should happen has happened, on a slow machine too."""
SYSTEM = {
    "version": "12",
    "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    "architecture": "x86_64",
}
UVICORN = ["python", "-m", "uvicorn", "chat:app"]


@pytest.fixture(scope="module")
def installed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[App], tuple[Path, contents.Release]]:
    """Where the release of an app is, and what it is; built once for all tests."""
    folder = tmp_path_factory.mktemp("hosts")
    known = {}

    def install(app: App) -> tuple[Path, contents.Release]:
        if app.path not in known:
            settings = Settings("ws.a-company.com", app, SelfSigned())
            check(settings)
            wanted = contents.release(settings, Survey(system=SYSTEM))
            with (
                pytest.MonkeyPatch.context() as patch,
                tarfile.open(fileobj=io.BytesIO(_archive(patch, folder, wanted))) as tar,
            ):
                tar.extractall(folder / wanted.id, filter="data")
            known[app.path] = (folder / wanted.id, wanted)
        return known[app.path]

    return install


def _archive(patch: pytest.MonkeyPatch, folder: Path, wanted: contents.Release) -> bytes:
    patch.setattr(build, "cache", lambda: folder / "cache")
    return build.archive(wanted)


class Process:
    """A process of an app, started by its release's launcher."""

    def __init__(
        self,
        folder: Path,
        release: contents.Release,
        app: App,
        listen: str,
        name: str,
        sockets: Path,
    ) -> None:
        command = list(app.command or ("python", str(folder / release.main)))
        # The release is for the Python that runs the tests, which the host's may not be.
        command[0] = sys.executable if command[0] == "python" else command[0]
        environment = sockets / "app.env"
        values = {"PYTHONPATH": f"{folder}/lib:{folder}/app", "WS_APP": f"{folder}/app"}
        environment.write_text("".join(f"{k}={json.dumps(v)}\n" for k, v in values.items()))
        description = sockets / "generation.json"
        found = {"environment": str(environment), "open_files": 1024, "listen": listen}
        description.write_text(json.dumps(found))
        self.sockets, self.name, self.log_file = sockets, name, sockets / "app.log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-I", folder / "launch.py",
                    description, *command,
                ],
                cwd=sockets,
                env={"PATH": os.environ["PATH"], "SUPERVISOR_PROCESS_NAME": name},
                stdout=log,
                stderr=log,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def ready(self, target: probe.Target) -> "Process":
        """Wait until it answers a handshake; fail if it exits before."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                probe.handshake(target, PATIENCE)
                return self
            except OSError as error:
                if time.monotonic() > end:
                    pytest.fail(f"{error}: {self.log}")
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(f"it exited: {self.log}")

    def stop(self, client: ClientConnection) -> int | None:
        """Send SIGTERM while a client is connected; return the code that closed its connection."""
        self.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE)
        assert self.process.wait(PATIENCE) in (0, -signal.SIGTERM), self.log
        return closed.value.rcvd.code if closed.value.rcvd else None


StartProcess = Callable[..., Process]


@pytest.fixture
def start(installed: Callable[[App], tuple[Path, contents.Release]]) -> Iterator[StartProcess]:
    """Start a process of an app; it is killed in the end if it still runs."""
    started: list[Process] = []
    # A unix socket's path may have 107 bytes, which pytest's own folders can exceed.
    with tempfile.TemporaryDirectory(prefix="ws-") as sockets:

        def run(
            path: str, listen: str = "unix:{sockets}", name: str = "ws_00", **app: Any
        ) -> Process:
            described = App(str(APPS / path), **app)
            listen = listen.format(sockets=sockets)
            folder, release = installed(described)
            started.append(Process(folder, release, described, listen, name, Path(sockets)))
            return started[-1]

        yield run
        for one in started:
            one.process.kill()
            one.process.wait()


def unix(process: Process) -> probe.Target:
    return probe.Target("localhost", unix=str(process.sockets / f"{process.name}.sock"))


def tcp(port: int) -> probe.Target:
    return probe.Target("localhost", address=("localhost", port))


def client(target: probe.Target) -> ClientConnection:
    if target.unix:
        return unix_connect(target.unix, "ws://localhost/", open_timeout=PATIENCE)
    return connect(f"ws://localhost:{target.address[1]}/", open_timeout=PATIENCE)


def answer(connection: ClientConnection, message: str) -> str:
    connection.send(message)
    return connection.recv(timeout=PATIENCE, decode=True)


def is_free(port: int, host: str = "localhost") -> bool:
    with socket.socket() as listener:
        # What an earlier run has left behind in TIME_WAIT is nobody.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def test_a_socket_in_the_working_directory(start: StartProcess) -> None:
    process = start("guides/unix_socket.py", name="ws_03")
    target = unix(process)
    process.ready(target)
    with client(target) as connection:
        assert answer(connection, "abc") == "cba"
        assert process.stop(connection) == 1001


def test_a_port_by_the_name_of_the_process(start: StartProcess) -> None:
    number = next(n for n in range(99, 9, -1) if is_free(8000 + n))
    target = tcp(8000 + number)
    process = start("guides/own_port.py", "tcp:127.0.0.1:8000", f"ws_{number}").ready(target)
    with client(target) as connection:
        assert answer(connection, "abc") == "cba"
        assert process.stop(connection) == 1001


@pytest.mark.skipif(not is_free(8080, ""), reason="something else listens on port 8080")
def test_a_port_that_processes_share(start: StartProcess) -> None:
    target = tcp(8080)
    two = [start("guides/shared_port.py", "shared:127.0.0.1:8080", n) for n in ("ws_00", "ws_01")]
    for process in two:
        process.ready(target)
    with client(target) as connection:
        assert answer(connection, "abc") == "cba"


def test_guides_have_no_health_path(start: StartProcess) -> None:
    process = start("guides/unix_socket.py")
    target = unix(process)
    process.ready(target)
    with pytest.raises(probe.ProbeError, match="/healthz answers 426, not 200; say health=None if"):
        probe.health(target, "/healthz", PATIENCE)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_another_library(start: StartProcess, kind: str) -> None:
    port = next(n for n in range(18000, 19000) if is_free(n))
    listen = "unix:{sockets}" if kind == "unix" else f"tcp:127.0.0.1:{port}"
    process = start("aiohttp_server", listen)
    target = unix(process) if kind == "unix" else tcp(port)
    process.ready(target)
    probe.health(target, "/healthz", PATIENCE)
    probe.health(target, "/page", PATIENCE)
    with client(target) as connection:
        assert answer(connection, "abc") == "ABC"
        assert process.stop(connection) == 1012


def test_a_command(start: StartProcess) -> None:
    process = start("asgi", command=[*UVICORN, "--uds", "$WS_SOCKET"])
    target = unix(process)
    process.ready(target)
    probe.health(target, "/healthz", PATIENCE)
    with client(target) as connection:
        assert answer(connection, "abc") == "abc"
        assert process.stop(connection) == 1012


def test_a_project(start: StartProcess) -> None:
    process = start("project", command=["python", "-m", "greeter"])
    target = unix(process)
    process.ready(target)
    with client(target) as connection:
        assert answer(connection, "Ada") == "Good morning, Ada (greeter 1.0)"
        assert process.stop(connection) == 1001


@pytest.mark.parametrize(
    "lock", sorted(APPS.glob("*/requirements.txt")), ids=lambda p: p.parent.name
)
def test_locks_name_no_host_and_no_path(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "index-url" not in text
    assert not [line for line in text.splitlines() if line.startswith("#") or " /" in line]
