"""What an app does when it's told to stop: nobody is cut off, and it is gone in time."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.unit.wsapp.conftest import App, Start, Until

WITHOUT_UVLOOP = "import sys\nsys.modules['uvloop'] = None\n"
ECHO = (
    "from wsapp import run\n"
    "async def handler(ws):\n"
    "    async for message in ws:\n"
    "        await ws.send(message)\n"
    "run(handler)\n"
)
HANDLER = "import asyncio, time\nfrom wsapp import run\nasync def handler(ws):\n{}run(handler)\n"
SLACK = 20
"""Seconds that a busy machine may add to a limit: less than what would come without the limit."""

CLOSE_1012 = b"\x88\x02\x03\xf4"


T = TypeVar("T")


def within_patience(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 60))


async def held_until_closed(
    app: App, count: int, signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
) -> list[tuple[int | None, float]]:
    """Hold connections, send the signals, return each one's close code and when it came."""
    clients = [await app.connect() for _ in range(count)]
    for client in clients:
        await client.send("x")
        await client.recv()
    started = time.monotonic()

    async def wait(client: ClientConnection) -> tuple[int | None, float]:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        rcvd = closed.value.rcvd
        return rcvd.code if rcvd else None, time.monotonic() - started

    waiting = [asyncio.create_task(wait(client)) for client in clients]
    for number in signals:
        app.process.send_signal(number)
        await asyncio.to_thread(app.log_has, "stopping")
    return await asyncio.gather(*waiting)


def listens(path: str) -> bool:
    """Whether a process listens on a unix socket, even if its file is gone."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return any(line.endswith(f" {path}") and line.split()[3] == "00010000" for line in lines)


def read_frame(client: socket.socket) -> bytes:
    """Return everything up to the end of a close frame, b'' after a reset."""
    received = b""
    while CLOSE_1012 not in received and (chunk := client.recv(65536)):
        received += chunk
    return received


def test_held_clients_are_closed_over_the_window(start: Start, tmp_path: Path) -> None:
    window = 1.2
    sockets = [str(tmp_path / name) for name in ("with", "without")]
    apps = [
        start(program, WS_DRAIN=str(window), WS_SOCKET=socket)
        for program, socket in zip((ECHO, WITHOUT_UVLOOP + ECHO), sockets, strict=True)
    ]
    assert ["loop uvloop" in app.log for app in apps] == [True, False]

    async def hold() -> list[list[tuple[int | None, float]]]:
        return await asyncio.gather(*(held_until_closed(app, 40) for app in apps))

    for app, closed in zip(apps, within_patience(hold()), strict=True):
        assert app.exit_code() == 0
        assert {code for code, _ in closed} == {1012}
        for quarter in range(4):
            part = [when for _, when in closed if quarter <= when / window * 4 < quarter + 1]
            assert len(part) >= 5, sorted(when for _, when in closed)
        assert "Traceback" not in app.log
        assert not os.path.exists(app.socket)


def test_close_code_is_a_choice(start: Start) -> None:
    app = start(WS_DRAIN="0", WS_CLOSE_CODE="1001")
    assert [code for code, _ in within_patience(held_until_closed(app, 3))] == [1001] * 3
    assert app.exit_code() == 0


def test_without_connections_it_exits_at_once(start: Start) -> None:
    app = start(WS_DRAIN="60")
    app.terminate()
    assert app.exit_code() == 0


def test_clients_that_do_not_answer_delay_nobody(start: Start, upgrade: bytes) -> None:
    app = start(WS_DRAIN="0.5", WS_CLOSE_TIMEOUT="0.5", WS_OPEN_TIMEOUT="30")
    silent = [app.raw(upgrade) for _ in range(3)]
    half = app.raw(upgrade[:40])
    for client in silent:
        assert b"101 Switching" in client.recv(65536)
    started = time.monotonic()
    closed = within_patience(held_until_closed(app, 10))
    assert [code for code, _ in closed] == [1012] * 10
    assert app.exit_code() == 0
    # The window (at least 1 s) and the close timeout; neither handler nor handshake adds to it.
    assert time.monotonic() - started < 1 + 0.5 + SLACK
    for client in (*silent, half):
        client.close()


def test_a_client_that_has_stopped_reading(start: Start, upgrade: bytes) -> None:
    flood = HANDLER.format("    while True:\n        await ws.send('x' * 100_000)\n")
    app = start(flood, WS_DRAIN="0", WS_CLOSE_TIMEOUT="0.5", WS_COMPRESSION="off")
    client = app.raw(upgrade)
    assert b"101 Switching" in client.recv(200)
    app.terminate()
    assert app.exit_code(1 + 0.5 + SLACK) == 0
    client.close()


def test_queued_connections_are_served(start: Start, upgrade: bytes) -> None:
    app = start(WS_DRAIN="0.5")
    app.process.send_signal(signal.SIGSTOP)
    queued = [app.raw(upgrade) for _ in range(200)]  # in the kernel's queue: nobody accepts
    app.terminate()
    app.process.send_signal(signal.SIGCONT)
    for client in queued:
        received = read_frame(client)
        assert received.startswith(b"HTTP/1.1 101 ")
        assert CLOSE_1012 in received
        client.close()
    assert app.exit_code() == 0


def test_handshakes_under_way_complete(start: Start, upgrade: bytes, until: Until) -> None:
    app = start(WS_DRAIN="1.5")
    handshake, health = app.raw(upgrade[:40]), app.raw(b"GET /healthz HTTP/1.1\r\n")
    until(lambda: app.metric("process_open_fds") is not None)  # both are accepted by now
    app.terminate()
    until(lambda: not os.path.exists(app.socket))
    health.sendall(b"Host: x\r\n\r\n")
    assert health.recv(65536).startswith(b"HTTP/1.1 503 ")
    health.close()
    until(lambda: not listens(app.socket))
    handshake.sendall(upgrade[40:])
    received = read_frame(handshake)
    assert received.startswith(b"HTTP/1.1 101 ")
    assert received.endswith(CLOSE_1012)
    handshake.close()
    assert app.exit_code() == 0


def test_the_next_process_may_take_the_socket_meanwhile(start: Start, until: Until) -> None:
    old = start(WS_DRAIN="0.6")

    async def hold() -> tuple[App, int | None]:
        async with old.connect() as client:
            old.terminate()
            await asyncio.to_thread(until, lambda: not os.path.exists(old.socket))
            new = await asyncio.to_thread(lambda: start(WS_SOCKET=old.socket))
            await client.wait_closed()
            return new, client.close_code

    new, code = within_patience(hold())
    assert code == 1012
    assert old.exit_code() == 0
    assert new.get("/healthz").startswith("HTTP/1.1 200 ")


def test_a_port_is_left_to_others(
    start: Start, free_port: str, until: Until, upgrade: bytes
) -> None:
    tcp = {"WS_HOST": "127.0.0.1", "WS_PORT": free_port, "WS_DRAIN": "0", "WS_CLOSE_TIMEOUT": "60"}
    old = start(**tcp, SUPERVISOR_PROCESS_NAME="old")
    silent = old.raw(upgrade)  # its client answers no close frame, so the old process stays
    new = start(**tcp, SUPERVISOR_PROCESS_NAME="new")
    old.terminate()
    assert read_frame(silent).endswith(CLOSE_1012)
    until(lambda: all('process="new"' in new.get("/metrics") for _ in range(20)))
    assert old.process.poll() is None
    silent.close()
    assert old.exit_code() == 0


def test_a_second_sigterm_is_no_order_to_hurry(start: Start) -> None:
    window = 1.0
    app = start(WS_DRAIN=str(window))
    closed = within_patience(held_until_closed(app, 20, (signal.SIGTERM, signal.SIGTERM)))
    assert {code for code, _ in closed} == {1012}
    # One turn is in the last twentieth of the window.
    assert max(when for _, when in closed) >= window * 0.95
    assert app.exit_code() == 0
    assert "stopping at once" not in app.log


def test_a_process_that_settles_goes_on_as_before_but_for_its_health(
    start: Start, until: Until
) -> None:
    app = start(WS_SETTLE="300", WS_DRAIN="0")

    async def hold() -> list[int | None]:
        async with app.connect() as before:
            app.terminate()
            app.terminate()
            draining = "HTTP/1.1 503 "
            await asyncio.to_thread(until, lambda: app.get("/healthz").startswith(draining))
            async with app.connect() as after:
                for client in (before, after):
                    await client.send("x")
                    assert await client.recv() == "x"
                app.process.send_signal(signal.SIGINT)
                await asyncio.gather(before.wait_closed(), after.wait_closed())
                return [before.close_code, after.close_code]

    assert within_patience(hold()) == [1012, 1012]
    assert app.exit_code() == 0


def test_the_drain_begins_when_a_process_has_settled(start: Start) -> None:
    settle, window = 0.5, 0.5
    app = start(WS_SETTLE=str(settle), WS_DRAIN=str(window))
    closed = within_patience(held_until_closed(app, 10))
    assert {code for code, _ in closed} == {1012}
    assert min(when for _, when in closed) >= settle
    assert max(when for _, when in closed) >= settle + window * 0.9
    assert app.exit_code() == 0


def test_a_process_settles_without_connections_too(start: Start) -> None:
    app = start(WS_SETTLE="0.5")
    started = time.monotonic()
    app.terminate()
    assert app.exit_code() == 0
    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGTERM, signal.SIGINT), (signal.SIGINT,)],
    ids=["TERM INT", "INT"],
)
def test_in_a_hurry(start: Start, signals: tuple[signal.Signals, ...]) -> None:
    app = start(WS_DRAIN="60", WS_CLOSE_TIMEOUT="60")
    closed = within_patience(held_until_closed(app, 20, signals))
    assert {code for code, _ in closed} == {1012}
    assert app.exit_code(2 + SLACK) == 0


def test_in_a_hurry_silent_clients_are_cut_off(start: Start, upgrade: bytes) -> None:
    app = start(WS_DRAIN="60", WS_CLOSE_TIMEOUT="60")
    silent, half = app.raw(upgrade), app.raw(upgrade[:40])
    assert b"101 Switching" in silent.recv(65536)
    app.process.send_signal(signal.SIGINT)
    assert app.exit_code(2 + SLACK) == 0
    silent.close()
    half.close()


def test_a_handler_may_finish_its_work(start: Start) -> None:
    body = (
        "    await ws.send('started')\n    await ws.wait_closed()\n"
        "    await asyncio.sleep(0.5)\n    print('finished', flush=True)\n"
    )
    app = start(HANDLER.format(body), WS_DRAIN="0")

    async def hold() -> None:
        async with app.connect() as client:
            await client.recv()
            app.terminate()
            await client.wait_closed()

    within_patience(hold())
    assert app.exit_code() == 0
    assert "finished" in app.log


def test_handlers_that_do_not_end(start: Start, tmp_path: Path, upgrade: bytes) -> None:
    goes_on = (
        "    try:\n        await asyncio.sleep(600)\n"
        "    finally:\n        print('cleaned up', flush=True)\n"
    )
    ignores_cancellation = (
        "    while True:\n        try:\n            await asyncio.sleep(600)\n"
        "        except asyncio.CancelledError:\n            pass\n"
    )
    blocks_the_loop = "    while True:\n        time.sleep(0.01)\n"
    apps, clients = [], []
    for number, body in enumerate((goes_on, ignores_cancellation, blocks_the_loop)):
        env = {"WS_DRAIN": "0", "WS_CLOSE_TIMEOUT": "0.1", "WS_SOCKET": str(tmp_path / str(number))}
        app = start(HANDLER.format(body), **env)
        apps.append(app)
        clients.append(app.raw(upgrade))
        assert b"101 Switching" in clients[-1].recv(65536)
    for app in apps:
        app.terminate()
    limit = 1 + 0.1 + 2 + 1  # as in Config.stop_limit
    assert [app.exit_code(limit + SLACK) for app in apps] == [0, 1, 1]
    cancelled, ignored, blocked = (app.log for app in apps)
    assert "cleaned up" in cancelled
    assert "handler cancelled" in cancelled
    assert "1 of them left" in ignored
    assert "Timeout (" in ignored
    assert "Timeout (" in blocked  # and where it hangs:
    assert "in handler" in blocked
    for client in clients:
        client.close()
