"""Clients that take their time, in each of the ways that holds a connection of a proxy.

Arguments: address, domain, how many of each kind. Prints a line of JSON when all are there: kinds,
each with where its `clients` connect from, and the `age` of the first of them in seconds.
Then it sends a byte for each client every second, until standard input ends.
"""

import contextlib
import json
import select
import socket
import ssl
import sys
import time
from typing import Any

ADDRESS, DOMAIN, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
HEAD = f"Host: {DOMAIN}\r\n"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
# Name, port, whether over TLS, what is sent at first, what is sent every second.
KINDS = (
    ("no TLS handshake", 443, False, b"", b""),
    ("slow TLS handshake", 443, False, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"a"),
    ("no request", 443, True, b"", b""),
    ("slow header", 443, True, f"GET / HTTP/1.1\r\n{HEAD}X-Slow: ".encode(), b"a"),
    (
        "slow body of a POST",
        443,
        True,
        f"POST / HTTP/1.1\r\n{HEAD}Content-Length: 900\r\n\r\n".encode(),
        b"a",
    ),
    (
        "slow body of a GET",
        443,
        True,
        f"GET / HTTP/1.1\r\n{HEAD}{UPGRADE}Content-Length: 900\r\n\r\n".encode(),
        b"a",
    ),
    ("slow read", 443, True, f"GET /nothing HTTP/1.1\r\n{HEAD}\r\n".encode() * 100, b""),
    ("slow header without TLS", 80, False, f"GET / HTTP/1.1\r\n{HEAD}X-Slow: ".encode(), b"a"),
)


def main() -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    clients: list[tuple[socket.socket, bytes]] = []
    report: dict[str, dict[str, Any]] = {}
    for kind, port, tls, first, more in KINDS:
        begun, sources = time.monotonic(), []
        for _ in range(COUNT):
            connection = socket.socket()
            # Before connecting, so that the window is small from the start.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(10)
            connection.connect((ADDRESS, port))
            sources.append("{}:{}".format(*connection.getsockname()))
            if tls:
                connection = context.wrap_socket(connection, server_hostname=DOMAIN)
            connection.sendall(first)
            # Who does not read must not keep the others waiting.
            connection.setblocking(False)
            clients.append((connection, more))
        report[kind] = {"clients": sources, "begun": begun}
    now = time.monotonic()
    kinds = {k: {"clients": v["clients"], "age": now - v["begun"]} for k, v in report.items()}
    print(json.dumps(kinds), flush=True)
    while not select.select([sys.stdin], [], [], 1)[0]:
        for connection, more in clients:
            with contextlib.suppress(OSError):
                connection.send(more)


if __name__ == "__main__":
    main()
