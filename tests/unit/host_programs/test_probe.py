"""The probe passes what serves WebSockets well, and says of all else what is wrong with it."""

import base64
import dataclasses
import hashlib
import http
import json
import socket
import ssl
import struct
import threading
from contextlib import contextmanager

import pytest
from websockets.sync.server import serve, unix_serve

from wshost.certificates import self_signed
from wshost.rollout import probe
from wshost.rollout.probe import ProbeError, Target

DOMAIN = "ws.a-company.com"
TIMEOUT = 5


def echo(connection):
    for message in connection:
        connection.send(message)


def health(connection, request):
    return connection.respond(http.HTTPStatus.OK, "ok\n") if request.path == "/healthz" else None


@contextmanager
def running(server):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()


@pytest.fixture
def app(tmp_path):
    """Serve a handler of the websockets library on a unix socket."""
    opened = []

    def start(handler=echo, **options):
        path = str(tmp_path / "app.sock")
        context = running(unix_serve(handler, path, process_request=health, **options))
        opened.append(context)
        context.__enter__()
        return Target(DOMAIN, unix=path)

    yield start
    for context in opened:
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Key and certificate as a proxy makes them for itself."""
    folder = tmp_path_factory.mktemp("tls")
    names = {"name": DOMAIN, "alternative_names": f"DNS:{DOMAIN},IP:127.0.0.1"}
    self_signed.make(names | {"days": 2, "activate": []}, folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def tls(pair):
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

    def __init__(self, connection):
        self.connection = connection

    def request(self):
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.connection.recv(4096)
        lines = head.decode().split("\r\n")
        return dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line), head

    def key(self):
        _, head = self.request()
        (line,) = (ln for ln in head.decode().split("\r\n") if ln.startswith("Sec-WebSocket-Key"))
        return line.split(": ")[1]

    def accept(self, key=None, rest=b""):
        key = key or self.key()
        digest = hashlib.sha1((key + probe.MAGIC).encode()).digest()  # noqa: S324 (RFC 6455)
        self.say(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n",
            rest,
        )
        return self

    def say(self, text, rest=b""):
        self.connection.sendall(text.encode() + rest)

    def frame(self, opcode, payload=b"", final=True):
        self.connection.sendall(frame(opcode, payload, final))

    def take(self, size):
        data = b""
        while len(data) < size:
            chunk = self.connection.recv(size - len(data))
            assert chunk
            data += chunk
        return data

    def read(self):
        """The next frame: its opcode, its payload, and how many bytes gave its length."""
        first, second = self.take(2)
        size, extra = second & 0x7F, 0
        if size >= 126:
            extra = 2 if size == 126 else 8
            size = int.from_bytes(self.take(extra), "big")
        assert second & 0x80, "clients mask what they send"
        mask, payload = self.take(4), self.take(size)
        return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(payload)), extra


def frame(opcode, payload=b"", final=True):
    assert len(payload) < 126
    return struct.pack("!BB", 0x80 * final | opcode, len(payload)) + payload


@pytest.fixture
def peer(tmp_path):
    """A server that does one thing with one connection; `said` is what that returned."""
    threads, said = [], {}

    def result():
        for thread in threads:
            thread.join()
        return [said[number] for number in sorted(said)]

    def start(action):
        number = len(threads)
        path = str(tmp_path / f"peer{number}.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.settimeout(TIMEOUT)
        listener.bind(path)
        listener.listen()

        def work():
            with listener, listener.accept()[0] as connection:
                connection.settimeout(TIMEOUT)
                said[number] = action(Peer(connection))

        thread = threading.Thread(target=work)
        threads.append(thread)
        thread.start()
        return Target(DOMAIN, unix=path)

    start.said = result
    yield start
    result()


def refuse(status):
    def action(peer):
        peer.request()
        peer.say(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n")

    return action


def another_key(peer):
    peer.request()
    peer.accept("AAAAAAAAAAAAAAAAAAAAAA==")


def no_key(peer):
    peer.request()
    peer.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")


def hang_up(peer):
    peer.request()


def no_http(peer):
    peer.request()
    peer.say("SSH-2.0-OpenSSH_9.2\r\n\r\n")


def endless_head(peer):
    peer.request()
    try:
        while True:
            peer.say("X: " + "x" * 4000 + "\r\n")
    except OSError:
        pass


def cut(peer):
    peer.accept()
    peer.read()


def wrong_pong(peer):
    peer.accept()
    _, payload, _ = peer.read()
    peer.frame(probe.PONG, payload[::-1])


def close_at_once(code):
    def action(peer):
        peer.accept()
        peer.read()
        peer.frame(probe.CLOSE, struct.pack("!H", code) if code else b"")

    return action


def goodbye(peer):
    """Behave well for the rest of a probe without messages."""
    peer.frame(probe.PONG, peer.read()[1])
    if peer.connection.recv(100):
        peer.frame(probe.CLOSE, struct.pack("!H", 1000))


def bad_goodbye(peer):
    peer.accept()
    peer.frame(probe.PONG, peer.read()[1])
    peer.read()
    peer.frame(probe.CLOSE, struct.pack("!H", 1011))


COMPLAINTS = [
    (refuse(503), "the handshake was answered with 503, not 101"),
    (refuse(200), "the handshake was answered with 200, not 101"),
    (refuse(404), "the handshake was answered with 404, not 101"),
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


def test_complaints(peer):
    for action, message in COMPLAINTS:
        with pytest.raises(ProbeError) as failed:
            probe.handshake(peer(action), TIMEOUT)
        assert str(failed.value).startswith(message)


def test_a_good_app(app):
    target = app()
    probe.health(target, "/healthz", TIMEOUT)
    probe.handshake(target, TIMEOUT)
    probe.handshake(target, TIMEOUT, send="hello", expect="hello")


def test_a_message_without_an_expected_answer(app):
    probe.handshake(app(), TIMEOUT, send="hello")


def test_a_wrong_message(app):
    with pytest.raises(ProbeError, match="'hello' came back, without 'bye' in it"):
        probe.handshake(app(), TIMEOUT, send="hello", expect="bye")


def test_an_app_that_fails_on_a_message(app):
    def broken(connection):
        connection.recv()
        raise RuntimeError

    with pytest.raises(ProbeError, match="closed the connection with code 1011"):
        probe.handshake(app(broken), TIMEOUT, send="hello", expect="hello")


def test_messages_of_any_length(app):
    target = app()
    for size in (1, 125, 126, 65_535, 65_536, 200_000):
        text = "ü" * (size // 2) + "x" * (size % 2)
        probe.handshake(target, TIMEOUT, send=text, expect=text)


def test_a_message_in_pieces_with_a_ping_between(peer):
    def action(peer):
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


def test_what_an_app_sends_unasked_is_no_fault(app):
    def chatty(connection):
        for number in range(3):
            connection.send(f"news {number}")
        echo(connection)

    probe.handshake(app(chatty), TIMEOUT)


def test_frames_that_come_with_the_handshakes_answer(peer):
    def action(peer):
        peer.accept(rest=frame(probe.TEXT, b"welcome"))
        goodbye(peer)

    probe.handshake(peer(action), TIMEOUT)


def test_a_greeting_is_the_first_message(peer):
    def action(peer):
        peer.accept(rest=frame(probe.TEXT, b"welcome"))
        goodbye(peer)

    probe.handshake(peer(action), TIMEOUT, expect="welcome")


def test_a_message_whose_first_piece_is_empty(peer):
    def action(peer):
        peer.accept()
        peer.frame(probe.PONG, peer.read()[1])
        peer.frame(probe.TEXT, b"", final=False)
        peer.frame(0, b"hello", final=True)
        if peer.connection.recv(100):
            peer.frame(probe.CLOSE, struct.pack("!H", 1000))

    probe.handshake(peer(action), TIMEOUT, expect="hello")


def test_lengths_take_as_few_bytes_as_they_can(peer):
    def action(peer):
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


def test_silence_is_not_waited_for_long(peer):
    release = threading.Event()

    def silent(peer):
        peer.request()
        release.wait(TIMEOUT)

    target = peer(silent)
    with pytest.raises(TimeoutError):
        probe.handshake(target, 0.1)
    release.set()


def test_path_and_host_of_the_request(peer):
    def action(peer):
        headers, head = peer.request()
        refused = "HTTP/1.1 400 Bad Request\r\n\r\n"
        peer.say(refused)
        return head.split(b"\r\n")[0], headers["host"], headers["sec-websocket-version"]

    target = Target(DOMAIN, "/chat?room=1", unix=peer(action).unix)
    with pytest.raises(ProbeError):
        probe.handshake(target, TIMEOUT)
    assert peer.said() == [(b"GET /chat?room=1 HTTP/1.1", DOMAIN, "13")]


def test_health(peer):
    hint = "; say health=None if the app has no such path"
    for status, way_out in ((503, ""), (404, hint), (301, "")):
        with pytest.raises(ProbeError, match=f"^/alive answers {status}, not 200{way_out}$"):
            probe.health(peer(refuse(status)), "/alive", TIMEOUT)


def test_a_healthy_answer_to_the_path_that_was_asked_for(peer):
    def action(peer):
        headers, head = peer.request()
        peer.say("HTTP/1.1 200 OK\r\n\r\n")
        return head.split(b"\r\n")[0], headers["host"]

    probe.health(peer(action), "/alive?full=1", TIMEOUT)
    assert peer.said() == [(b"GET /alive?full=1 HTTP/1.1", DOMAIN)]


def test_who_looks_at_the_connection_sees_it_open(app):
    seen = []
    probe.handshake(app(), TIMEOUT, opened=lambda connection: seen.append(connection.fileno()))
    assert len(seen) == 1
    assert seen[0] >= 0


def test_a_message_is_received_with_its_opcode(peer):
    def action(peer):
        peer.frame(probe.BINARY, b"\0\1")
        peer.frame(probe.CLOSE, struct.pack("!H", 1001))

    with peer(action).connect(TIMEOUT) as connection:
        stream = probe._Stream(connection)
        assert stream.receive(probe.TEXT, probe.BINARY) == (probe.BINARY, b"\0\1")
        assert stream.receive(probe.CLOSE) == (probe.CLOSE, struct.pack("!H", 1001))


def test_nobody_listens(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        probe.handshake(Target(DOMAIN, unix=str(tmp_path / "none.sock")), TIMEOUT)


def test_tls(tls):
    probe.health(tls(), "/healthz", TIMEOUT)
    probe.handshake(tls(), TIMEOUT, send="hello", expect="hello")


def test_tls_by_address(tls):
    probe.handshake(tls("127.0.0.1"), TIMEOUT)


def test_an_untrusted_certificate(tls):
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed certificate"):
        probe.handshake(tls(authority=None), TIMEOUT)


def test_a_certificate_for_another_name(tls):
    with pytest.raises(ssl.SSLCertVerificationError, match=r"'other\.a-company\.com'"):
        probe.handshake(tls("other.a-company.com"), TIMEOUT)


def test_plain_where_tls_is_expected(app):
    target = app()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
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
def asked(monkeypatch):
    """Call the program for a target, though its request would be for an address."""

    def ask(target):
        monkeypatch.setattr(probe, "Target", lambda **_: target)
        where = {"host": "", "path": "", "address": ["", 0], "tls": False}
        probe.main(
            {
                "target": where | {"authority": None, "origin": None},
                "timeout": TIMEOUT,
                "send": None,
                "expect": None,
            }
        )

    return ask


def test_main_passes(app, asked, capsys):
    asked(app())
    assert json.loads(capsys.readouterr().out) == {"passed": True}


def test_main_says_what_is_wrong_in_one_line(peer, asked, capsys):
    with pytest.raises(SystemExit) as ended:
        asked(peer(refuse(503)))
    assert ended.value.code == f"wss://{DOMAIN}/: the handshake was answered with 503, not 101"
    assert capsys.readouterr().out == ""


def test_an_origin_is_sent_only_where_one_is_given(app):
    """The proxy may ask for one; the check of a deployment is let in like a page."""
    target = app(origins=["https://a-company.com"])
    probe.handshake(dataclasses.replace(target, origin="https://a-company.com"), TIMEOUT)
    with pytest.raises(ProbeError, match="403"):
        probe.handshake(target, TIMEOUT)
