"""A WebSocket client for checks that are not coroutines.

The asyncio client of websockets in a thread of its own. The library's threading client reads and
writes one TLS session from two threads at once, which OpenSSL does not allow: a handshake in some
fifty is never sent, and times out.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket

T = TypeVar("T")

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True, name="websocket clients").start()


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(coroutine, _loop).result()


class Client:
    """An open WebSocket. Methods raise what the asyncio client raises."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def close_code(self) -> int | None:
        return self._connection.close_code

    @property
    def certificate(self) -> dict[str, Any]:
        """What the server has shown, as ssl.SSLSocket.getpeercert returns it."""
        found = self._connection.transport.get_extra_info("peercert")
        return cast("dict[str, Any]", found)

    def send(self, message: str) -> None:
        _run(self._connection.send(message))

    def recv(self, timeout: float | None = None) -> str:
        """Return the next message, as text. Raises TimeoutError."""
        return _run(asyncio.wait_for(self._connection.recv(decode=True), timeout))

    def ping(self, timeout: float = 10) -> None:
        """Send a ping and wait for its answer. Raises TimeoutError."""

        async def ping() -> None:
            await asyncio.wait_for(await self._connection.ping(), timeout)

        _run(ping())

    def close(self) -> None:
        _run(self._connection.close())


def connect(url: str, **options: Any) -> Client:
    """Open a WebSocket; options are those of websockets.asyncio.client.connect."""

    async def connect() -> ClientConnection:
        return await open_websocket(url, **{"proxy": None, "open_timeout": 60} | options)

    return Client(_run(connect()))
