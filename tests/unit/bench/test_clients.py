"""What the client generator knows without a network: messages, answers, numbers, addresses."""

from array import array

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from bench.clients import sources
from bench.clients.numbers import Seen, percentile, report
from bench.clients.target import Incoming, Target, agreed, frame_end, handshake, message, text
from bench.traffic.held import allowed
from wsapp.compression import LEVELS

PLAIN = Target("ws://ws.test/chat", (("127.0.0.1", 80),))
OFFERING = Target("wss://ws.test/chat", (("127.0.0.1", 443),), offer=True)


def accepted(target: Target, level: str) -> tuple[bytes, ServerProtocol]:
    """Let websockets' own server take a handshake; return the head of its answer."""
    chosen = LEVELS[level]
    server = ServerProtocol(extensions=[chosen.extension()] if chosen else None)
    server.receive_data(handshake(target).request)
    (request,) = server.events_received()
    assert isinstance(request, Request)
    response = server.accept(request)
    server.send_response(response)
    return b"".join(server.data_to_send()).partition(b"\r\n\r\n")[0], server


@pytest.mark.parametrize("level", ["off", "low", "medium", "high"])
@pytest.mark.parametrize("target", [PLAIN, OFFERING], ids=["plain", "offering"])
def test_a_server_understands_the_same_message_again_and_again(target: Target, level: str) -> None:
    head, server = accepted(target, level)
    assert handshake_refusal(target, head, server) is None
    extensions = agreed(head)
    assert bool(extensions) == (target.offer and level != "off")
    for _ in range(3):
        server.receive_data(message(text(500), extensions))
    assert [getattr(event, "data", None) for event in server.events_received()] == [text(500)] * 3


def handshake_refusal(target: Target, head: bytes, server: ServerProtocol) -> str | None:
    """Each handshake has a key of its own, so the answer's must be put in its place."""
    made = handshake(target)
    line = next(line for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Accept"))
    return made.refusal(head.replace(line, f"Sec-WebSocket-Accept: {made.accept}".encode()))


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10", "503"),
        (b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: other", "wrong accept"),
        (b"SSH-2.0", ""),
    ],
)
def test_refusals(head: bytes, refusal: str) -> None:
    assert handshake(PLAIN).refusal(head) == refusal


@pytest.mark.parametrize("size", [0, 1, 64, 4096, 70_000])
def test_frames_that_come_in_pieces(size: int) -> None:
    data = Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)
    assert frame_end(data) == len(data)
    assert frame_end(data[:1]) is None
    incoming = Incoming()
    ping = Frame(Opcode.PING, b"abcd").serialize(mask=False)
    stream = data + ping + data
    found = []
    for at in range(0, len(stream), 7):
        found += incoming.frames(stream[at : at + 7])
    assert found == [(1, b"x" * size), (9, b"abcd"), (1, b"x" * size)]
    assert not incoming.buffer


@pytest.mark.parametrize("size", [1, 64, 4096])
def test_text_has_its_size(size: int) -> None:
    assert len(text(size)) == size


def test_percentiles() -> None:
    assert percentile([], 0.5) == 0
    assert percentile([1, 2, 3, 4], 0.5) == 3
    assert percentile(range(100), 0.99) == 99
    assert percentile([7], 0.99) == 7


def test_report_of_two_workers() -> None:
    one = Seen(opened=array("d", [101, 102, 103]), first_refused=(102.5, "503"), seconds=4, held=3)
    one.refused["503"] += 2
    other = Seen(opened=array("d", [101.5, 110]), seconds=2, held=2, processor=1.5)
    found = report([one, other], began=100)
    assert (found.held, found.handshakes, found.handshakes_per_second) == (5, 5, 1.25)
    assert (found.first_refusal, found.held_at_first_refusal) == ("503", 3)
    assert found.refused == {"503": 2}
    assert found.processor == 1.5
    assert found.back_99 == 10


def test_nobody_is_back_while_many_are_away() -> None:
    assert report([Seen(opened=array("d", [101]), away=1)], began=100).back_99 is None


@pytest.mark.parametrize(("clients", "addresses"), [(1, 1), (28_232, 1), (28_233, 2), (200_000, 8)])
def test_source_addresses(clients: int, addresses: int) -> None:
    assert sources.needed(clients) == addresses


def test_clients_that_open_files_allow() -> None:
    assert allowed("nginx", 20_000, 2) == 20_000
    assert allowed("haproxy", 20_000, 2) == 10_000
