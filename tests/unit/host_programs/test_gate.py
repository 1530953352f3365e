"""The gate opens when every new process answers by itself, and says who does not, and why."""

import http
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, unix_serve

from tests.unit.host_programs.conftest import Start
from wshost.common.listen import Listen
from wshost.requests import Probe
from wshost.rollout import gate, generations
from wshost.rollout.gate import GateClosedError

Character = Callable[[ServerConnection, Request], Response | None]
"""How a process answers."""

NAMES = ["ws_00", "ws_01"]
NOT_THERE = 2**22 + 1
"""A process ID above the kernel's highest."""


class Generation:
    """Knows of its processes what Supervisor would."""

    def __init__(self, **pids: int) -> None:
        self.pids = pids
        self.started: dict[str, list[int]] = {}

    def pid(self, name: str) -> int:
        return self.pids.get(name, 0)

    def starts(self, name: str) -> int:
        found = self.started.setdefault(name, [1])
        return found.pop(0) if len(found) > 1 else found[0]

    def last_end(self, name: str) -> str:
        return "exit status 1"


def wanted(listen: str, start_timeout: float, healthy_for: int = 0, **probe: Any) -> gate.Readiness:
    asked: dict[str, Any] = {
        "host": "a.com",
        "health": "/alive",
        "path": "/",
        "send": None,
        "expect": None,
    }
    return gate.Readiness(
        Listen.read(listen), cast(Probe, asked | probe), start_timeout, healthy_for
    )


def wait_healthy(generation: Generation, names: list[str], readiness: gate.Readiness) -> None:
    gate.wait_healthy(cast(generations.Generation, generation), names, readiness)


def healthy(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(http.HTTPStatus.OK, "ok") if request.path == "/alive" else None


def sick(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/alive":
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "draining")
    return None


@contextmanager
def serving(path: Path, process_request: Character) -> Iterator[None]:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    server = unix_serve(echo, str(path), process_request=process_request)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


WaitAtGate = Callable[..., None]


@pytest.fixture
def on_sockets(tmp_path: Path) -> WaitAtGate:
    """Wait at the gate for processes with these characters, two of them."""

    def wait(
        *characters: Character,
        start_timeout: float = 0.3,
        generation: Generation | None = None,
        **probe: Any,
    ) -> None:
        with ExitStack() as running:
            for name, character in zip(NAMES, characters, strict=False):
                running.enter_context(serving(tmp_path / f"{name}.sock", character))
            wait_healthy(
                generation or Generation(),
                NAMES,
                wanted(f"unix:{tmp_path}", start_timeout, **probe),
            )

    return wait


def test_healthy_processes_on_sockets(on_sockets: WaitAtGate) -> None:
    on_sockets(healthy, healthy, start_timeout=20, send="hello", expect="hello")


def test_an_app_without_a_health_check(on_sockets: WaitAtGate) -> None:
    on_sockets(sick, healthy, start_timeout=20, health=None)


@pytest.mark.parametrize(
    ("characters", "probe", "complaint"),
    [
        ((healthy,), {}, "ws_01 has ended (exit status 1)"),
        ((sick, healthy), {}, "ws_00 is not healthy: /alive answers 503, not 200"),
        ((healthy, sick), {}, "ws_01 is not healthy: /alive answers 503, not 200"),
        (
            (healthy, healthy),
            {"send": "hello", "expect": "bye"},
            "ws_00 is not healthy: App.probe expects 'bye', and '(what was sent)' came back",
        ),
    ],
)
def test_the_gate_stays_closed(
    on_sockets: WaitAtGate, characters: tuple[Character, ...], probe: dict[str, str], complaint: str
) -> None:
    with pytest.raises(GateClosedError) as closed:
        on_sockets(*characters, **probe)
    assert str(closed.value) == f"{complaint} (waited 0.3 s; nobody was sent there)"


def test_one_that_does_not_listen_in_time(on_sockets: WaitAtGate, tmp_path: Path) -> None:
    with pytest.raises(GateClosedError) as closed:
        on_sockets(healthy, generation=Generation(ws_01=NOT_THERE))
    assert str(closed.value) == (
        f"ws_01 is not healthy: it runs, but does not listen on {tmp_path}/ws_01.sock yet "
        "([Errno 2] No such file or directory); App.start_timeout is how long it may take "
        "(waited 0.3 s; nobody was sent there)"
    )


def test_one_that_ends_again_and_again_is_not_waited_for(on_sockets: WaitAtGate) -> None:
    generation = Generation()
    generation.started = {name: [1, 1, 2, 3] for name in NAMES}
    with pytest.raises(GateClosedError) as closed:
        on_sockets(start_timeout=600, generation=generation)
    assert str(closed.value).startswith("ws_00 ends whenever it is started (exit status 1) (waited")


class Turning:
    """Healthy at first, then sick."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, connection: ServerConnection, request: Request) -> Response | None:
        self.left -= 1
        return healthy(connection, request) if self.left > 0 else sick(connection, request)


def test_a_process_that_turns_sick_later_closes_it(
    on_sockets: WaitAtGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "WATCH", 0.01)
    monkeypatch.setattr(gate, "SECOND_LOOK", 0.05)
    with pytest.raises(GateClosedError, match=r"^ws_01 was healthy for .*/alive answers 503"):
        # The other one is not watched for so long.
        on_sockets(healthy, Turning(20), start_timeout=20, healthy_for=600)


def test_a_process_that_is_started_again_closes_it(
    on_sockets: WaitAtGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Restarted(Generation):
        def pid(self, name: str) -> int:
            self.pids[name] = self.pids.get(name, 0) + 1
            return self.pids[name]

    monkeypatch.setattr(gate, "WATCH", 0.01)
    with pytest.raises(GateClosedError, match=r"s; then it crashed, and was started again"):
        on_sockets(healthy, healthy, start_timeout=20, healthy_for=20, generation=Restarted())


# A process that shares its port with others, as wsapp does.
APP = """
import http, json, socket, sys
from websockets.sync.server import serve
listener = socket.create_server(("127.0.0.1", json.loads(sys.argv[1])), reuse_port=True)
print(listener.getsockname()[1], flush=True)
serve(
    lambda connection: connection.recv(),
    sock=listener,
    process_request=lambda connection, request: (
        connection.respond(http.HTTPStatus.OK, "") if request.path == "/alive" else None
    ),
).serve_forever()
"""


StartApp = Callable[..., tuple[int, int]]


@pytest.fixture
def app(program: Start) -> StartApp:
    """Start an app on a port that others may have too; return the port and the process's PID."""

    def start(port: int = 0) -> tuple[int, int]:
        process = program(APP, port)
        assert process.stdout is not None
        return int(process.stdout.readline()), process.pid

    return start


@pytest.mark.parametrize("kind", ["tcp", "shared"])
def test_on_a_port_of_an_old_process_it_waits_for_the_new_one(app: StartApp, kind: str) -> None:
    port, old = app()
    found: dict[str, int] = {}
    # Supervisor knows its PID as soon as it has started it, which is before it listens.
    new = Generation()
    new.pids = found
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait_healthy, new, ["ws_00"], wanted(f"{kind}:127.0.0.1:{port}", 20))
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        _, found["ws_00"] = app(port)
        waiting.result()
    assert found["ws_00"] != old


def test_an_old_process_alone_does_not_open_it(app: StartApp) -> None:
    port, old = app()
    with pytest.raises(GateClosedError, match="ws_00 is not healthy"):
        wait_healthy(Generation(ws_00=old + 1), ["ws_00"], wanted(f"tcp:127.0.0.1:{port}", 0.3))
    wait_healthy(Generation(ws_00=old), ["ws_00"], wanted(f"tcp:127.0.0.1:{port}", 20))


@pytest.mark.parametrize(
    ("listen", "should"),
    [("tcp:127.0.0.2:{port}", "127.0.0.2:{port}"), ("unix:/run/no", "/run/no/ws_00.sock")],
)
def test_an_app_that_listens_elsewhere(app: StartApp, listen: str, should: str) -> None:
    port, pid = app()
    with pytest.raises(GateClosedError) as closed:
        wait_healthy(Generation(ws_00=pid), ["ws_00"], wanted(listen.format(port=port), 0.3))
    should = should.format(port=port)
    expected = f"; it should listen on {should}, and listens on 127.0.0.1:{port} ("
    assert expected in str(closed.value)


def test_nobody_listens_on_a_port() -> None:
    # Taken, so that nobody else listens there.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        # ws_01 has the second port.
        listen = f"tcp:127.0.0.1:{taken.getsockname()[1] - 1}"
        with pytest.raises(GateClosedError, match=r"^ws_01 is not healthy: .*Connection refused"):
            wait_healthy(Generation(ws_01=1), ["ws_01"], wanted(listen, 0.3))
