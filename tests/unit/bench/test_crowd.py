"""A crowd against real servers over TLS, on loopback."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from bench.clients import Crowd, Target
from wsdeploy_sandbox.command import run


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-subj", "/CN=ws.test"),
        *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
    )
    joined = folder / "pair.pem"
    joined.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return joined


async def echo(websocket: ServerConnection) -> None:
    async for received in websocket:
        await websocket.send(received)


@asynccontextmanager
async def serving(pair: Path, most: int) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)

    def refuse(connection: ServerConnection, _: Request) -> Response | None:
        return connection.respond(503, "full\n") if len(server.connections) >= most else None

    async with serve(
        echo, "127.0.0.1", 0, ssl=context, compression=None, process_request=refuse
    ) as server:
        yield server


@contextmanager
def server_thread(pair: Path, most: int = 100) -> Iterator[tuple[Target, threading.Event]]:
    """Serve in a thread; setting the event closes all connections with 1012."""
    started, close = threading.Event(), threading.Event()
    ports = []

    async def main() -> None:
        async with serving(pair, most) as server:
            ports.append(server.sockets[0].getsockname()[1])
            started.set()
            await asyncio.to_thread(close.wait)
            server.close(code=1012)
            await server.wait_closed()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert started.wait(10)
        yield Target("ws.test", "127.0.0.1", ports[0]), close
    finally:
        close.set()
        thread.join()


def test_all_clients_send_and_stay_until_the_server_closes_them(pair: Path) -> None:
    with server_thread(pair) as (target, close), Crowd(target, workers=2) as crowd:
        opened = crowd.open(9)
        assert (opened.held, opened.handshakes, opened.refused) == (9, 9, {})
        echoed = crowd.echo(4096, 0.5, 0.0)
        assert (echoed.held, echoed.cut) == (9, [])
        assert echoed.messages > 0
        assert crowd.hold(0.1).held == 9
        timer = threading.Timer(0.2, close.set)
        timer.start()
        # It ends as soon as nobody is left.
        seen = crowd.hold(20)
        assert seen.held == 0
        assert [code for _, code in seen.cut] == [1012] * 9


def test_clients_that_leave_at_once_make_room_for_the_next(pair: Path) -> None:
    with server_thread(pair) as (target, _), Crowd(target, workers=1) as crowd:
        seen = crowd.handshakes(1, 1.0, 0.0)
        assert (seen.held, seen.refused) == (0, {})
        assert seen.handshakes > 1


def test_refused_clients_are_counted_by_reason(pair: Path) -> None:
    with server_thread(pair, most=4) as (target, _), Crowd(target, workers=1) as crowd:
        seen = crowd.open(6, at_once=1)
        assert (seen.held, seen.refused) == (4, {"503": 2})


def test_a_server_that_is_gone_refuses(pair: Path) -> None:
    with server_thread(pair) as (target, _):
        pass
    with Crowd(target, workers=1) as crowd:
        assert crowd.open(2).refused == {"Connection refused": 2}
