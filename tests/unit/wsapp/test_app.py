"""What an app does while it serves."""

import asyncio
import os
import signal
import socket
import stat
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.unit.wsapp.conftest import App, Start, Until

ECHO = "async def handler(ws):\n    async for message in ws:\n        await ws.send(message)\n"


T = TypeVar("T")


def within_patience(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 10))


def echo(app: App, message: str = "hi", **options: Any) -> tuple[str, ClientConnection]:
    async def talk() -> tuple[str, ClientConnection]:
        async with app.connect(**options) as client:
            await client.send(message)
            return await client.recv(decode=True), client

    return within_patience(talk())


def handshake_status(app: App, **options: str) -> int:
    async def talk() -> int:
        try:
            async with app.connect(**options):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    return within_patience(talk())


@pytest.mark.parametrize("umask", [0, 0o077])
def test_echo_on_a_unix_socket_for_owner_and_group(start: Start, umask: int) -> None:
    app = start(umask=umask)
    assert stat.S_IMODE(os.stat(app.socket).st_mode) == 0o660
    assert echo(app)[0] == "hi"


def test_health(start: Start) -> None:
    app = start()
    assert app.get("/healthz").startswith("HTTP/1.1 200 OK\r\n")
    assert app.get("/healthz?x=1").endswith("\r\n\r\nOK\n")
    assert app.ask(b"GET /healthz HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nOK\n")
    head = app.ask(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 3\r\n" in head
    assert head.endswith(b"\r\n\r\n")
    assert app.get("/").startswith("HTTP/1.1 426 ")
    assert app.ask(b"POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 405 ")


def test_a_living_process_keeps_its_socket(start: Start) -> None:
    first = start()
    second = start(WS_SOCKET=first.socket, ready=False)
    assert second.exit_code() == 1
    assert second.log.endswith(
        f"ERROR can't listen on {first.socket}: another process does, and is left alone\n"
    )
    assert echo(first)[0] == "hi"


def test_a_dead_process_leaves_its_socket_to_the_next(start: Start) -> None:
    first = start()
    first.process.send_signal(signal.SIGKILL)
    first.exit_code()
    assert os.path.exists(first.socket)
    assert echo(start(WS_SOCKET=first.socket))[0] == "hi"


def test_two_processes_share_a_port(start: Start, free_port: str, until: Until) -> None:
    tcp = {"WS_HOST": "127.0.0.1", "WS_PORT": free_port}
    apps = [start(**tcp, SUPERVISOR_PROCESS_NAME=f"ws_0{number}") for number in range(2)]
    names: set[str] = set()

    def both_answered() -> bool:
        names.update(name for name in ("ws_00", "ws_01") if name in apps[0].get("/metrics"))
        return len(names) == 2

    until(both_answered)
    assert echo(apps[0])[0] == "hi"


def test_address_that_can_not_be_had(start: Start) -> None:
    app = start(WS_HOST="192.0.2.1", WS_PORT="8000", ready=False)
    assert app.exit_code() == 1
    assert app.log.count("\n") == 1
    assert "ERROR can't listen on 192.0.2.1:8000: " in app.log


@pytest.mark.parametrize("before", ["", "import sys\nsys.modules['uvloop'] = None\n"])
def test_a_platform_gives_only_a_port(start: Start, free_port: str, before: str) -> None:
    app = start(f"{before}from wsapp import run\n{ECHO}run(handler)\n", PORT=free_port)
    assert echo(app)[0] == "hi"
    with socket.socket(socket.AF_INET6) as probe:
        assert not _has_ipv6() or probe.connect_ex(("::1", int(free_port))) == 0
    assert f"listening on *:{free_port};" in app.log
    assert "development" not in app.log


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_port_of_a_platform_that_is_taken(start: Start, free_port: str) -> None:
    start(PORT=free_port)
    second = start(PORT=free_port, ready=False)
    assert second.exit_code() == 1
    assert f"can't listen on *:{free_port}: " in second.log


def test_mistakes_in_the_environment(start: Start) -> None:
    app = start(WS_DRAIN="soon", WS_METRICS="maybe", ready=False)
    assert app.exit_code() == 2
    assert app.log == (
        'wsapp: WS_DRAIN is "soon": give seconds from 0 to 3600\n'
        'wsapp: WS_METRICS is "maybe": give 0 or 1\n'
    )


def test_cap(start: Start, upgrade: bytes, until: Until) -> None:
    app = start(WS_MAX_CONNECTIONS="2")
    first, second = app.raw(upgrade), app.raw(upgrade)
    for client in (first, second):
        assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
    refused = app.ask(upgrade)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 5\r\n" in refused
    assert app.get("/healthz").startswith("HTTP/1.1 200 ")
    first.close()
    until(lambda: handshake_status(app) == 101)
    second.close()


def test_origins(start: Start) -> None:
    app = start(WS_ORIGINS="https://example.com, https://*.example.com")
    assert handshake_status(app, origin="https://example.com") == 101
    assert handshake_status(app, origin="https://a.example.com") == 101
    assert handshake_status(app, origin="https://evil.com") == 403
    assert handshake_status(app) == 101


def test_origins_of_the_app_itself_take_the_place_of_those_of_the_environment(
    start: Start,
) -> None:
    own = f"from wsapp import run\n{ECHO}run(handler, origins=['https://own.example'])\n"
    app = start(own, WS_ORIGINS="https://example.com")
    assert handshake_status(app, origin="https://own.example") == 101
    assert handshake_status(app, origin="https://example.com") == 403


def test_origin_required(start: Start) -> None:
    app = start(WS_ORIGINS="https://example.com", WS_ORIGIN_REQUIRED="1")
    assert handshake_status(app, origin="https://example.com") == 101
    assert handshake_status(app) == 403


@pytest.mark.parametrize(("level", "bits"), [("off", None), ("low", "11"), ("high", "15")])
def test_compression(start: Start, level: str, bits: str | None) -> None:
    message, client = echo(start(WS_COMPRESSION=level), "x" * 1000)
    assert client.response is not None
    header = client.response.headers.get("Sec-WebSocket-Extensions")
    assert message == "x" * 1000
    if bits is None:
        assert header is None
    else:
        assert f"server_max_window_bits={bits}" in (header or "")


def test_message_too_large(start: Start) -> None:
    async def talk(app: App) -> int | None:
        async with app.connect(compression=None) as client:
            await client.send("x" * 101)
            await client.wait_closed()
            return client.close_code

    assert within_patience(talk(start(WS_MAX_SIZE="100"))) == 1009


def test_metrics(start: Start, until: Until) -> None:
    app = start(SUPERVISOR_PROCESS_NAME="ws_00", WS_ORIGINS="https://a.example")
    echo(app)
    handshake_status(app, origin="https://evil.com")
    until(lambda: app.metric('wsapp_closes_total{code="1000"}') == 1)
    assert app.metric('wsapp_handshakes_total{result="101"}') == 1
    until(lambda: app.metric('wsapp_handshakes_total{result="403"}') == 1)
    assert app.metric("wsapp_connections") == 0
    assert (app.metric("process_resident_memory_bytes") or 0) > 1e6
    until(lambda: (app.metric("wsapp_event_loop_lag_seconds_count") or 0) > 0)

    async def look_while_open() -> float | None:
        async with app.connect():
            return await asyncio.to_thread(app.metric, "wsapp_connections")

    assert within_patience(look_while_open()) == 1
    assert 'process="ws_00"' in app.get("/metrics")


def test_metrics_are_not_for_the_world(start: Start) -> None:
    app = start()
    assert app.get("/metrics", "X-Forwarded-For: 192.0.2.1").startswith("HTTP/1.1 426 ")
    assert (
        start(WS_METRICS="0", WS_SOCKET=app.socket + "2")
        .get("/metrics")
        .startswith("HTTP/1.1 426 ")
    )


def test_log_of_a_connection(start: Start) -> None:
    app = start(WS_LOG_FORMAT="json", WS_LOG_LEVEL="debug")
    headers = {
        "X-Forwarded-For": "6.6.6.6, 192.0.2.1",
        "X-Request-ID": "r1",
        "X-Forwarded-Proto": "https",
    }
    uri = "ws://localhost/chat?token=secret"
    echo(app, uri=uri, additional_headers=headers)
    app.get("/other?token=secret")
    app.log_has('"closed"')
    app.log_has('"refused"')
    lines = {line["message"]: line for line in app.log_objects()}
    known = {"client": "192.0.2.1", "path": "/chat", "scheme": "https", "request_id": "r1"}
    assert lines["opened"].items() >= known.items()
    assert lines["closed"].items() >= {**known, "code": 1000, "level": "info"}.items()
    assert lines["closed"]["seconds"] >= 0
    assert lines["refused"].items() >= {"path": "/other", "result": "426"}.items()
    assert "secret" not in app.log


def test_log_of_a_client_without_a_proxy(start: Start, free_port: str) -> None:
    app = start(WS_HOST="127.0.0.1", WS_PORT=free_port)
    echo(app)
    app.log_has("closed client=127.0.0.1 path=/ code=1000 seconds=0.")


def test_clients_that_vanish_make_no_noise_and_mistakes_do(start: Start) -> None:
    app = start(
        "from wsapp import run\n"
        "async def handler(ws):\n"
        "    async for message in ws:\n"
        "        raise RuntimeError('mistake')\n"
        "run(handler)"
    )

    async def talk() -> int | None:
        async with app.connect() as vanishing:
            vanishing.transport.abort()
        async with app.connect() as failing:
            await failing.send("x")
            await failing.wait_closed()
            return failing.close_code

    assert within_patience(talk()) == 1011
    app.log_has("code=1006")
    app.log_has("RuntimeError: mistake")
    assert app.log.count("Traceback") == 1
    assert "connection handler failed client=- path=/" in app.log


def test_what_the_app_adds(start: Start) -> None:
    app = start(
        "from wsapp import run\n" + ECHO + "def process_request(connection, request):\n"
        "    if request.path != '/':\n"
        "        return connection.respond(404, 'mine')\n"
        "run(handler, process_request=process_request, subprotocols=['chat'], max_size=5)"
    )
    assert app.get("/healthz").startswith("HTTP/1.1 200 ")
    assert app.get("/x").endswith("mine")
    client = echo(app, subprotocols=["chat"])[1]
    assert client.subprotocol == "chat"
    with pytest.raises(ConnectionClosedError, match="1009"):
        echo(app, "longer", subprotocols=["chat"])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("port=8000", "TypeError: run() takes no port: set WS_PORT instead"),
        ("sock=None", "TypeError: run() takes no sock: the harness needs it itself"),
    ],
)
def test_what_the_app_can_not_add(start: Start, argument: str, message: str) -> None:
    app = start(f"from wsapp import run\n{ECHO}run(handler, {argument})", ready=False)
    assert app.exit_code() == 1
    assert message in app.log


def test_name_with_a_slip(start: Start) -> None:
    assert "WARNING WS_DRIAN isn't used here: is WS_DRAIN meant?\n" in start(WS_DRIAN="5").log
