"""The probe passes what serves WebSockets well, and says of all else what is wrong with it."""

import base64
import hashlib
import http
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve, unix_serve

from wshost import requests
from wshost.certificates import self_signed
from wshost.rollout import probe
from wshost.rollout.probe import ProbeError, Target

DOMAIN = "ws.a-company.com"
TIMEOUT = 5


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def health(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(http.HTTPStatus.OK, "ok\n") if request.path == "/healthz" else None


@contextmanager
def running(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()


MakeTarget = Callable[..., Target]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[MakeTarget]:
    """Serve a handler of the websockets library on a unix socket."""
    opened = []

    def start(handler: Callable[[ServerConnection], None] = echo, **options: Any) -> Target:
        path = str(tmp_path / "app.sock")
        context = running(unix_serve(handler, path, process_request=health, **options))
        opened.append(context)
        context.__enter__()
        return Target(DOMAIN, unix=path)

    yield start
    for context in opened:
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Key and certificate as a proxy makes them for itself."""
    folder = tmp_path_factory.mktemp("tls")
    request: requests.SelfSigned = {
        "name": DOMAIN,
        "alternative_names": f"DNS:{DOMAIN},IP:127.0.0.1",
        "days": 2,
        "certificate": str(folder / "cert.pem"),
        "key": str(folder / "key.pem"),
        "activate": [],
    }
    self_signed.make(request, folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def tls(pair: tuple[Path, Path]) -> Iterator[MakeTarget]:
    """A server over TLS on TCP: its target, verified against its own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    with running(serve(echo, "127.0.0.1", 0, ssl=context, process_request=health)) as server:
        address = server.socket.getsockname()
        yield lambda host=DOMAIN, authority=str(pair[0]): Target(
            host, address=address, tls=True, authority=authority
        )


class Peer:
    """The server's end of a connection, to misbehave with."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def request(self) -> tuple[dict[str, str], bytes]:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.connection.recv(4096)
        lines = head.decode().split("\r\n")
        return dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line), head

    def key(self) -> str:
        _, head = self.request()
        (line,) = (ln for ln in head.decode().split("\r\n") if ln.startswith("Sec-WebSocket-Key"))
        return line.split(": ")[1]

    def accept(self, key: str | None = None, rest: bytes = b"") -> "Peer":
        key = key or self.key()
        digest = hashlib.sha1((key + probe.MAGIC).encode()).digest()  # noqa: S324 (RFC 6455)
        self.say(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n",
            rest,
        )
        return self

    def say(self, text: str, rest: bytes = b"") -> None:
        self.connection.sendall(text.encode() + rest)

    def frame(self, opcode: int, payload: bytes = b"", final: bool = True) -> None:
        self.connection.sendall(frame(opcode, payload, final))

    def take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.connection.recv(size - len(data))
            assert chunk
            data += chunk
        return data

    def read(self) -> tuple[int, bytes, int]:
        """The next frame: its opcode, its payload, and how many bytes gave its length."""
        first, second = self.take(2)
        size, extra = second & 0x7F, 0
        if size >= 126:
            extra = 2 if size == 126 else 8
            size = int.from_bytes(self.take(extra), "big")
        assert second & 0x80, "clients mask what they send"
        mask, payload = self.take(4), self.take(size)
        return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(payload)), extra


def frame(opcode: int, payload: bytes = b"", final: bool = True) -> bytes:
    assert len(payload) < 126
    return struct.pack("!BB", 0x80 * final | opcode, len(payload)) + payload


class Peers:
    """A server that does one thing with one connection; `said` is what that returned."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads: list[threading.Thread] = []
        self._said: dict[int, Any] = {}

    def said(self) -> list[Any]:
        for thread in self._threads:
            thread.join()
        return [self._said[number] for number in sorted(self._said)]

    def __call__(self, action: Callable[[Peer], object]) -> Target:
        number = len(self._threads)
        path = str(self._folder / f"peer{number}.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.settimeout(TIMEOUT)
        listener.bind(path)
        listener.listen()

        def work() -> None:
            with listener, listener.accept()[0] as connection:
                connection.settimeout(TIMEOUT)
                self._said[number] = action(Peer(connection))

        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()
        return Target(DOMAIN, unix=path)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peers]:
    made = Peers(tmp_path)
    yield made
    made.said()


def refuse(status: int | str) -> Callable[[Peer], None]:
    def action(peer: Peer) -> None:
        peer.request()
        peer.say(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n")

    return action


def another_key(peer: Peer) -> None:
    peer.request()
    peer.accept("AAAAAAAAAAAAAAAAAAAAAA==")


def no_key(peer: Peer) -> None:
    peer.request()
    peer.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")


def hang_up(peer: Peer) -> None:
    peer.request()


def no_http(peer: Peer) -> None:
    peer.request()
    peer.say("SSH-2.0-OpenSSH_9.2\r\n\r\n")


def endless_head(peer: Peer) -> None:
    peer.request()
    try:
        while True:
            peer.say("X: " + "x" * 4000 + "\r\n")
    except OSError:
        pass


def cut(peer: Peer) -> None:
    peer.accept()
    peer.read()


def wrong_pong(peer: Peer) -> None:
    peer.accept()
    _, payload, _ = peer.read()
    peer.frame(probe.PONG, payload[::-1])


def close_at_once(code: int | None) -> Callable[[Peer], None]:
    def action(peer: Peer) -> None:
        peer.accept()
        peer.read()
        peer.frame(probe.CLOSE, struct.pack("!H", code) if code else b"")

    return action


def goodbye(peer: Peer) -> None:
    """Behave well for the rest of a probe without messages."""
    peer.frame(probe.PONG, peer.read()[1])
    if peer.connection.recv(100):
        peer.frame(probe.CLOSE, struct.pack("!H", 1000))


def bad_goodbye(peer: Peer) -> None:
    peer.accept()
    peer.frame(probe.PONG, peer.read()[1])
    peer.read()
    peer.frame(probe.CLOSE, struct.pack("!H", 1011))


COMPLAINTS = [
    (refuse(503), "the handshake was answered with 503, not 101"),
    (refuse(200), "the handshake was answered with 200, not 101"),
    (refuse(404), "the handshake was answered with 404, not 101"),
    # The app could write the clipboard of whoever deploys it.
    (
        refuse("\x1b]52;c;cHduZWQ=\x07"),
        r"the handshake was answered with \x1b]52;c;cHduZWQ=\x07, not",
    ),
    (no_http, "the handshake was answered with"),
    (another_key, "the handshake was answered for another client's key"),
    (no_key, "the handshake was answered for another client's key"),
    (hang_up, "the connection was closed without an HTTP response"),
    (endless_head, "the connection was closed without an HTTP response"),
    (cut, "the connection was cut without a close frame"),
    (wrong_pong, "the answer to a ping was not the ping's own payload"),
    (close_at_once(1011), "the app closed the connection with code 1011"),
    (close_at_once(1008), "the app closed the connection with code 1008"),
    (close_at_once(None), "the app closed the connection with code 0"),
    (bad_goodbye, "the close was answered with code 1011, not 1000"),
]


def test_complaints(peer: Peers) -> None:
    for action, message in COMPLAINTS:
        with pytest.raises(ProbeError) as failed:
            probe.handshake(peer(action), TIMEOUT)
        assert str(failed.value).startswith(message)


def test_a_good_app(app: MakeTarget) -> None:
    target = app()
    probe.health(target, "/healthz", TIMEOUT)
    probe.handshake(target, TIMEOUT)
    probe.handshake(target, TIMEOUT, send="hello", expect="hello")


def test_a_message_without_an_expected_answer(app: MakeTarget) -> None:
    probe.handshake(app(), TIMEOUT, send="hello")


def test_a_wrong_message(app: MakeTarget) -> None:
    # An echo of what was sent may be one of a secret.
    said = r"App\.probe expects 'bye', and '\(what was sent\)' came back"
    with pytest.raises(ProbeError, match=said):
        probe.handshake(app(), TIMEOUT, send="hello", expect="bye")


def test_an_app_that_fails_on_a_message(app: MakeTarget) -> None:
    def broken(connection: ServerConnection) -> None:
        connection.recv()
        raise RuntimeError

    with pytest.raises(ProbeError, match="closed the connection with code 1011"):
        probe.handshake(app(broken), TIMEOUT, send="hello", expect="hello")


def test_messages_of_any_length(app: MakeTarget) -> None:
    target = app()
    for size in (1, 125, 126, 65_535, 65_536, 200_000):
        text = "ü" * (size // 2) + "x" * (size % 2)
        probe.handshake(target, TIMEOUT, send=text, expect=text)


def test_a_message_in_pieces_with_a_ping_between(peer: Peers) -> None:
    def action(peer: Peer) -> tuple[int, bytes]:
        peer.accept()
        peer.frame(probe.PONG, peer.read()[1])
        peer.frame(probe.TEXT, b"hel", final=False)
        peer.frame(probe.PING, b"are you there?")
        peer.frame(0, b"lo", final=True)
        opcode, payload, _ = peer.read()
        peer.read()
        peer.frame(probe.CLOSE, struct.pack("!H", 1000))
        return opcode, payload

    probe.handshake(peer(action), TIMEOUT, expect="hello")
    assert peer.said() == [(probe.PONG, b"are you there?")]


def test_what_an_app_sends_unasked_is_no_fault(app: MakeTarget) -> None:
    def chatty(connection: ServerConnection) -> None:
        for number in range(3):
            connection.send(f"news {number}")
        echo(connection)

    probe.handshake(app(chatty), TIMEOUT)


def test_frames_that_come_with_the_handshakes_answer(peer: Peers) -> None:
    def action(peer: Peer) -> None:
        peer.accept(rest=frame(probe.TEXT, b"welcome"))
        goodbye(peer)

    probe.handshake(peer(action), TIMEOUT)


def test_a_greeting_is_the_first_message(peer: Peers) -> None:
    def action(peer: Peer) -> None:
        peer.accept(rest=frame(probe.TEXT, b"welcome"))
        goodbye(peer)

    probe.handshake(peer(action), TIMEOUT, expect="welcome")


def test_a_message_whose_first_piece_is_empty(peer: Peers) -> None:
    def action(peer: Peer) -> None:
        peer.accept()
        peer.frame(probe.PONG, peer.read()[1])
        peer.frame(probe.TEXT, b"", final=False)
        peer.frame(0, b"hello", final=True)
        if peer.connection.recv(100):
            peer.frame(probe.CLOSE, struct.pack("!H", 1000))

    probe.handshake(peer(action), TIMEOUT, expect="hello")


def test_lengths_take_as_few_bytes_as_they_can(peer: Peers) -> None:
    def action(peer: Peer) -> int:
        peer.accept()
        peer.frame(probe.PONG, peer.read()[1])
        found = peer.read()[2]
        peer.read()
        peer.frame(probe.CLOSE, struct.pack("!H", 1000))
        return found

    # RFC 6455 section 5.2: "the minimal number of bytes MUST be used".
    for size in (125, 126, 65_535, 65_536):
        probe.handshake(peer(action), TIMEOUT, send="x" * size)
    assert peer.said() == [0, 2, 2, 8]


def test_silence_is_not_waited_for_long(peer: Peers) -> None:
    release = threading.Event()

    def silent(peer: Peer) -> None:
        peer.request()
        release.wait(TIMEOUT)

    target = peer(silent)
    with pytest.raises(TimeoutError):
        probe.handshake(target, 0.1)
    release.set()


def test_path_and_host_of_the_request(peer: Peers) -> None:
    def action(peer: Peer) -> tuple[bytes, str, str]:
        headers, head = peer.request()
        refused = "HTTP/1.1 400 Bad Request\r\n\r\n"
        peer.say(refused)
        return head.split(b"\r\n")[0], headers["host"], headers["sec-websocket-version"]

    target = Target(DOMAIN, "/chat?room=1", unix=peer(action).unix)
    with pytest.raises(ProbeError):
        probe.handshake(target, TIMEOUT)
    assert peer.said() == [(b"GET /chat?room=1 HTTP/1.1", DOMAIN, "13")]


def test_health(peer: Peers) -> None:
    hint = "; say health=None if the app has no such path"
    for status, way_out in ((503, ""), (404, hint), (301, "")):
        with pytest.raises(ProbeError, match=f"^/alive answers {status}, not 200{way_out}$"):
            probe.health(peer(refuse(status)), "/alive", TIMEOUT)


def test_a_healthy_answer_to_the_path_that_was_asked_for(peer: Peers) -> None:
    def action(peer: Peer) -> tuple[bytes, str]:
        headers, head = peer.request()
        peer.say("HTTP/1.1 200 OK\r\n\r\n")
        return head.split(b"\r\n")[0], headers["host"]

    probe.health(peer(action), "/alive?full=1", TIMEOUT)
    assert peer.said() == [(b"GET /alive?full=1 HTTP/1.1", DOMAIN)]


def test_who_looks_at_the_connection_sees_it_open(app: MakeTarget) -> None:
    seen = []
    probe.handshake(app(), TIMEOUT, opened=lambda connection: seen.append(connection.fileno()))
    assert len(seen) == 1
    assert seen[0] >= 0


def test_a_message_is_received_with_its_opcode(peer: Peers) -> None:
    def action(peer: Peer) -> None:
        peer.frame(probe.BINARY, b"\0\1")
        peer.frame(probe.CLOSE, struct.pack("!H", 1001))

    with peer(action).connect(TIMEOUT) as connection:
        stream = probe._Stream(connection)
        assert stream.receive(probe.TEXT, probe.BINARY) == (probe.BINARY, b"\0\1")
        assert stream.receive(probe.CLOSE) == (probe.CLOSE, struct.pack("!H", 1001))


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        probe.handshake(Target(DOMAIN, unix=str(tmp_path / "none.sock")), TIMEOUT)


def test_tls(tls: MakeTarget) -> None:
    probe.health(tls(), "/healthz", TIMEOUT)
    probe.handshake(tls(), TIMEOUT, send="hello", expect="hello")


def test_tls_by_address(tls: MakeTarget) -> None:
    probe.handshake(tls("127.0.0.1"), TIMEOUT)


def test_an_untrusted_certificate(tls: MakeTarget) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate"):
        probe.handshake(tls(authority=None), TIMEOUT)


def test_a_certificate_for_another_name(tls: MakeTarget) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"'other\.a-company\.com'"):
        probe.handshake(tls("other.a-company.com"), TIMEOUT)


def test_plain_where_tls_is_expected(app: MakeTarget) -> None:
    target = app()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        over_tls = Target(target.host, address=listener.getsockname(), tls=True)
        with pytest.raises(ssl.SSLError):
            probe.handshake(over_tls, TIMEOUT)
        thread.join()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Target], None]:
    """Call the program for a target, though its request would be for an address."""

    def ask(target: Target) -> None:
        monkeypatch.setattr(probe, "Target", lambda **_: target)
        where: requests.Target = {
            "host": "", "path": "", "address": ["", 0], "tls": False, "authority": None,
            "origin": None,
        }  # fmt: skip
        probe.main(
            {
                "target": where,
                "timeout": TIMEOUT,
                "send": None,
                "expect": None,
            }
        )

    return ask


def test_main_passes(
    app: MakeTarget, asked: Callable[[Target], None], capsys: pytest.CaptureFixture[str]
) -> None:
    asked(app())
    assert json.loads(capsys.readouterr().out) == {"passed": True}


def test_main_says_what_is_wrong_in_one_line(
    peer: Peers, asked: Callable[[Target], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        asked(peer(refuse(503)))
    assert ended.value.code == f"wss://{DOMAIN}/: the handshake was answered with 503, not 101"
    assert capsys.readouterr().out == ""


def test_an_origin_is_sent_only_where_one_is_given(app: MakeTarget) -> None:
    """The proxy may ask for one; the check of a deployment is let in like a page."""
    target = app(origins=["https://a-company.com"])
    probe.handshake(target._replace(origin="https://a-company.com"), TIMEOUT)
    with pytest.raises(ProbeError, match="403"):
        probe.handshake(target, TIMEOUT)
