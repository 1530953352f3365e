"""The least that can answer: a server that does nothing, to see how much clients can do.

It answers any request with the upgrade, and any message with one that was made before. It does
not even look at what it gets, and takes each read for one message.
"""

from __future__ import annotations

import select
import socket
import ssl
from multiprocessing.connection import Connection

from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

ENOUGH = 65_536


def respond(ready: Connection, size: int, pair: str | None) -> None:
    """Serve on a free port of 127.0.0.1, for ever; send the port through `ready`.

    size: bytes of each answer's payload. pair: a file with certificate and key, for TLS.
    """
    answer = Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if pair else None
    if context and pair:
        context.load_cert_chain(pair)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096, reuse_port=True)
    listener.setblocking(False)
    ready.send(listener.getsockname()[1])
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    upgraded: set[int] = set()
    room = bytearray(ENOUGH)
    while True:
        for fd, _ in epoll.poll(-1, 256):
            try:
                if fd == listener.fileno():
                    sock = _accept(listener, context)
                    clients[sock.fileno()] = sock
                    epoll.register(sock.fileno(), select.EPOLLIN)
                    continue
                sock = clients[fd]
                if fd in upgraded:
                    if sock.recv_into(room):
                        sock.send(answer)
                        continue
                elif request := sock.recv(ENOUGH):
                    sock.send(_upgrade(request))
                    upgraded.add(fd)
                    continue
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except OSError:
                if fd == listener.fileno():
                    continue
            upgraded.discard(fd)
            clients.pop(fd).close()


def _accept(listener: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    sock, _ = listener.accept()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context:
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    return sock


def _upgrade(request: bytes) -> bytes:
    key = next(
        line.partition(b": ")[2]
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key.decode())}\r\n\r\n"
    ).encode()
