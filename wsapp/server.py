"""`run`: from the environment to a serving process and to its end."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import platform
import signal
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, NoReturn

from websockets.asyncio.server import Server, ServerConnection, serve, unix_serve
from websockets.exceptions import ConnectionClosed
from websockets.version import version as websockets_version

from wsapp import log
from wsapp.compression import LEVELS
from wsapp.config import Config, ConfigError, misspelt
from wsapp.connections import Connections
from wsapp.drain import HURRY_LIMIT, Drain, shortened
from wsapp.endpoints import first_answer
from wsapp.lifetime import Lifetime
from wsapp.listen import ListenError, UnixSocket, open_unix_socket
from wsapp.log import logger
from wsapp.metrics import Metrics
from wsapp.move import Move
from wsapp.rooms import open_rooms

Handler = Callable[[ServerConnection], Awaitable[None]]
"""What a user writes: a coroutine function that serves one connection."""

RESERVED = {
    "host": "WS_HOST",
    "port": "WS_PORT",
    "path": "WS_SOCKET",
    "backlog": "WS_BACKLOG",
    "open_timeout": "WS_OPEN_TIMEOUT",
    "close_timeout": "WS_CLOSE_TIMEOUT",
    "reuse_port": None,
    "sock": None,
    "start_serving": None,
    "create_connection": None,
}
"""Arguments of `serve` that the harness has to know or needs itself, and the variable that
sets them if there is one."""

LAG_INTERVAL = 0.5
"""Seconds between looks at how late the event loop is."""


def run(handler: Handler, **serve_kwargs: Any) -> NoReturn:
    """Serve `handler` until SIGTERM, as the environment says (see `Config`), then exit.

    Other arguments are those of `websockets.asyncio.server.serve` and come before what the
    environment says. `process_request` is called for requests that the harness doesn't answer.

    Exit codes: 0 after a signal, 1 if the app can't listen or hasn't stopped in time, 2 if the
    environment has mistakes.

        run(handler, subprotocols=["chat"], max_size=None)
    """
    for name in sorted(RESERVED.keys() & serve_kwargs.keys()):
        variable = RESERVED[name]
        hint = f"set {variable} instead" if variable else "the harness needs it itself"
        raise TypeError(f"run() takes no {name}: {hint}")
    try:
        config = Config.from_env(os.environ)
    except ConfigError as error:
        for problem in error.problems:
            print(f"wsapp: {problem}", file=sys.stderr)
        sys.exit(2)
    log.setup(config)
    for line in misspelt(os.environ):
        logger.warning(line)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve_until_stopped(handler, config, serve_kwargs))
    except ListenError as error:
        logger.error("%s", error)
        sys.exit(1)
    sys.exit(0)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve_until_stopped(
    handler: Handler, config: Config, serve_kwargs: dict[str, Any]
) -> None:
    stop = _StopSignals(config.stop_limit)
    metrics = Metrics(info=_info(config), max_connections=config.max_connections)
    connections = Connections(metrics)
    rooms = open_rooms(config, metrics.rooms)
    if config.max_age:
        connections.on_open = Lifetime(config).start
    options = _serve_options(config, connections, serve_kwargs)
    unix_socket, server = await _listen(_without_noise(handler), config, options)
    serving = asyncio.Event()
    serving.set()
    # A handshake that is under way when the listener closes would be refused by the library
    # with 503. The harness lets it complete and gives the connection its turn in the drain.
    server.is_serving = serving.is_set  # type: ignore[method-assign]
    logger.info(
        "listening on %s; loop %s, websockets %s, Python %s",
        config.socket or f"{config.host or '*'}:{config.port}",
        *(metrics.info[name] for name in ("loop", "websockets", "python")),
    )
    if not (config.socket or config.share_port or config.platform_port):
        logger.info("this is for development: neither WS_SOCKET nor WS_HOST and WS_PORT are set")
    lag = asyncio.create_task(_watch_lag(metrics))
    move = asyncio.create_task(Move(config, connections).watch())
    await stop.requested.wait()
    move.cancel()
    await Drain(shortened(config), server, unix_socket, connections, serving).run(stop.hurried)
    if rooms.broker is not None:
        await rooms.broker.close()
    lag.cancel()


class _StopSignals:
    """SIGTERM asks for a stop, SIGINT for a fast one, before or after it.

    A second SIGTERM changes nothing. Platforms send several where they mean one: Heroku says so,
    Dokku sends one when it has switched to the new container and one later.

    Also the last resort: if the process is still there when it should be gone, it shows where
    it hangs and exits with 1. That must work while a handler blocks the event loop, so these
    are plain signal handlers and faulthandler's own thread, which doesn't need the interpreter.
    (Code in C that never comes back to Python keeps even these from running; then Supervisor's
    SIGKILL is what is left.)
    """

    def __init__(self, limit: float) -> None:
        self.requested = asyncio.Event()
        self.hurried = asyncio.Event()
        self._limit = limit
        self._stopping = False
        self._hurrying = False
        self._loop = asyncio.get_running_loop()
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        hurry = number == signal.SIGINT
        if self._hurrying or (self._stopping and not hurry) or self._loop.is_closed():
            return
        self._stopping, self._hurrying = True, hurry
        limit = HURRY_LIMIT if hurry else self._limit
        faulthandler.dump_traceback_later(limit, exit=True)
        self._loop.call_soon_threadsafe(self.requested.set)
        if hurry:
            self._loop.call_soon_threadsafe(self.hurried.set)


def _serve_options(
    config: Config, connections: Connections, serve_kwargs: dict[str, Any]
) -> dict[str, Any]:
    level = LEVELS[config.compression]
    origins = [*config.origins, *([] if config.origin_required else [None])]
    options = {
        "backlog": config.backlog,
        "close_timeout": config.close_timeout,
        "open_timeout": config.open_timeout,
        "ping_interval": config.ping_interval,
        "ping_timeout": config.ping_timeout,
        "max_size": config.max_size,
        "origins": origins if config.origins else None,
        "compression": None,  # websockets' name for its default level; ours is an extension
        "extensions": [level.extension()] if level else None,
        "server_header": None,  # versions are nobody's business
        "create_connection": connections.create,
    }
    process_request = first_answer(config, connections, serve_kwargs.get("process_request"))
    return {**options, **serve_kwargs, "process_request": process_request}


async def _listen(
    handler: Handler, config: Config, options: dict[str, Any]
) -> tuple[UnixSocket | None, Server]:
    if config.socket is not None:
        unix_socket = open_unix_socket(config.socket, config.backlog)
        if sys.version_info >= (3, 13):
            options["cleanup_socket"] = False  # the drain does it, in time
        return unix_socket, await unix_serve(handler, sock=unix_socket.sock, **options)
    # None is asyncio's way to leave the option alone.
    reuse_port = True if config.share_port else None
    try:
        return None, await serve(
            handler, config.host, config.port, reuse_port=reuse_port, **options
        )
    except OSError as error:
        reason = error.strerror or str(error)
        where = f"{config.host or '*'}:{config.port}"
        raise ListenError(f"can't listen on {where}: {reason}") from error


def _without_noise(handler: Handler) -> Handler:
    """Take the end of its own connection as a normal end of a handler.

    The library writes a traceback for every connection that ends with another code than 1000
    or 1001 while its handler receives, so for each one that a drain closes with 1012.
    """

    async def handle(websocket: ServerConnection) -> None:
        try:
            await handler(websocket)
        except ConnectionClosed:
            if websocket.close_code is None:  # it was another connection, say to a backend
                raise

    return handle


async def _watch_lag(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL
        await asyncio.sleep(LAG_INTERVAL)
        metrics.observe_lag(max(0.0, loop.time() - due))


def _info(config: Config) -> dict[str, str]:
    return {
        "process": config.process,
        "group": config.group,
        "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0],
        "websockets": websockets_version,
        "python": platform.python_version(),
    }
