"""What the client generator knows without a network: handshakes, frames, numbers."""

from collections import Counter

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from bench.clients.numbers import Observations, report
from bench.clients.target import Incoming, Target, frame_end, handshake, message

TARGET = Target("ws.test", "127.0.0.1", 443)


def test_a_server_takes_the_handshake_and_the_same_message_again_and_again() -> None:
    made = handshake(TARGET)
    server = ServerProtocol()
    server.receive_data(made.request)
    (request,) = server.events_received()
    assert isinstance(request, Request)
    assert request.headers["Host"] == "ws.test"
    server.send_response(server.accept(request))
    assert made.refusal(b"".join(server.data_to_send()).partition(b"\r\n\r\n")[0]) is None
    for _ in range(3):
        server.receive_data(message(500))
    events = server.events_received()
    assert [event.data for event in events if isinstance(event, Frame)] == [b"x" * 500] * 3


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10", "503"),
        (b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: other", "wrong accept"),
        (b"SSH-2.0", ""),
    ],
)
def test_refusals(head: bytes, refusal: str) -> None:
    assert handshake(TARGET).refusal(head) == refusal


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


def test_a_report_sums_up_what_two_workers_have_seen() -> None:
    one = Observations(
        handshakes=3,
        messages=7,
        refused=Counter({"503": 2}),
        cut=[(112.0, 1006), (101.0, 1001)],
        held=3,
        seconds=4,
        processor=1.0,
    )
    other = Observations(handshakes=2, cut=[(104.0, 1006)], held=2, seconds=2, processor=0.5)
    found = report([one, other], began=100)
    assert (found.held, found.handshakes, found.messages, found.seconds) == (5, 5, 7, 4)
    assert (found.processor, found.refused) == (1.5, {"503": 2})
    assert found.cut == [(1.0, 1001), (4.0, 1006), (12.0, 1006)]
    assert (found.cut_within(5), found.cut_within(0.5)) == (2, 0)
