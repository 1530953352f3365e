"""Requests that never reach the handler: health, metrics, and handshakes above the cap."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from wsapp.config import Config
from wsapp.connections import Connection, Connections
from wsapp.metrics import CONTENT_TYPE, render
from wsapp.process import process_numbers

ProcessRequest = Callable[[ServerConnection, Request], Awaitable[Response | None] | Response | None]
"""websockets' `process_request`: answers a request, or leaves it to what comes next."""

RETRY_AFTER = 5
"""Seconds after which a client that met the cap may try again. 503 itself matters more:
websockets' clients come back after it, and give up after 429 or 403."""


def first_answer(
    config: Config, connections: Connections, then: ProcessRequest | None
) -> ProcessRequest:
    """Return a `process_request` that answers the harness's own requests and asks `then` next."""

    def process_request(
        connection: ServerConnection, request: Request
    ) -> Awaitable[Response | None] | Response | None:
        assert isinstance(connection, Connection)
        response = _harness_answer(config, connections, connection, request)
        if response is not None or then is None:
            return response
        return then(connection, request)

    return process_request


def _harness_answer(
    config: Config, connections: Connections, connection: Connection, request: Request
) -> Response | None:
    path = request.path.partition("?")[0]
    if request.method in ("GET", "HEAD"):
        if path == "/healthz":
            return _health(connections, connection, request)
        if path == "/metrics" and config.metrics and "X-Forwarded-For" not in request.headers:
            return _metrics(connections, connection, request)
    if "Upgrade" in request.headers:
        if 0 < config.max_connections <= len(connections.admitted):
            response = connection.respond(503, "This server is full, try again later.\n")
            response.headers["Retry-After"] = str(RETRY_AFTER)
            return response
        connections.admitted.add(connection)
    return None


def _health(connections: Connections, connection: Connection, request: Request) -> Response:
    draining = connections.metrics.draining
    status, text = (503, "draining\n") if draining else (200, "OK\n")
    if connections.metrics.rooms.broker is False:
        # Clients are served all the same, and no other process would have it.
        text = f"{text.rstrip()}; the broker is away\n"
    return _plain(connection, request, status, text)


def _metrics(connections: Connections, connection: Connection, request: Request) -> Response:
    response = _plain(connection, request, 200, render(connections.metrics, process_numbers()))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = CONTENT_TYPE
    return response


def _plain(connection: Connection, request: Request, status: int, text: str) -> Response:
    connection.counts_as_handshake = False
    response = connection.respond(status, text)
    response.headers["Cache-Control"] = "no-store"
    if request.method == "HEAD":
        response.body = b""  # Content-Length stays what GET would say
    return response
