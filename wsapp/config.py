"""What the environment tells the app: every variable, checked before anything is opened."""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from wsapp.compression import LEVELS
from wsapp.origins import Origin, parse_origins

T = TypeVar("T")

QUEUE_LIMIT = 1.0
"""Seconds at most, when the listener closes, in which connections on their way come in."""

HANDLER_GRACE = 2.0
"""Seconds that a handler may go on working once its connection has closed during a stop.

Enough for a last write to a database; a handler that needs longer is cancelled.
"""

EXIT_MARGIN = 1.0
"""Seconds for cancelled handlers to clean up and for the interpreter to leave."""

ANY_ADDRESS = ""
"""What asyncio takes for all addresses of the machine, with a listener for IPv4 and one for IPv6,
as far as there is either."""

SOCKET_PATH_LIMIT = 107
"""Bytes in a unix socket's path: Linux has 108 for it, the last one a zero (unix(7))."""

VARIABLES = (
    "WS_SOCKET",
    "WS_HOST",
    "WS_PORT",
    "PORT",
    "WS_BACKLOG",
    "WS_SETTLE",
    "WS_DRAIN",
    "WS_DRAIN_FILE",
    "WS_MOVE_FILE",
    "WS_CLOSE_CODE",
    "WS_CLOSE_TIMEOUT",
    "WS_OPEN_TIMEOUT",
    "WS_PING_INTERVAL",
    "WS_PING_TIMEOUT",
    "WS_MAX_AGE",
    "WS_MAX_SIZE",
    "WS_MAX_CONNECTIONS",
    "WS_COMPRESSION",
    "WS_ORIGINS",
    "WS_ORIGIN_REQUIRED",
    "WS_LOG_LEVEL",
    "WS_LOG_FORMAT",
    "WS_METRICS",
    "WS_BROKER",
    "WS_BROKER_PREFIX",
)


class ConfigError(ValueError):
    """The environment can't be used; `problems` has one line for each reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Config:
    """How one process serves. An empty variable means its default, as an absent one does."""

    socket: str | None = None
    """`WS_SOCKET`: path of the unix socket to listen on. Its mode becomes 0660."""

    host: str = "localhost"
    """`WS_HOST`: name or address to listen on, with `WS_PORT`. Without any of the three, and
    without `PORT`, the app listens on localhost:8765, for development."""

    port: int = 8765
    """`WS_PORT`: TCP port to listen on, 1 to 65535."""

    platform_port: int | None = None
    """`PORT`: TCP port to listen on at every address, IPv4 and IPv6, 1 to 65535: the only thing
    that platforms such as Heroku tell. It counts only where none of the three above is set."""

    share_port: bool = False
    """Whether other processes may listen on the same port (SO_REUSEPORT), as a new generation
    does beside the old one. True if `WS_PORT` is given; in development a second process on
    the port is a mistake that should be seen."""

    backlog: int = 4096
    """`WS_BACKLOG`: connections that may wait to be accepted, 1 to 65535. asyncio's own 100 is
    too few: with that many waiting on a unix socket, the next connect fails at once. 4096 is
    also Linux's upper limit unless net.core.somaxconn is raised."""

    settle: float = 0.0
    """`WS_SETTLE`: seconds after SIGTERM for which new connections are taken as before, while
    /healthz says 503, 0 to 300; the drain begins after them. For places that go on sending clients
    to a process that they have told to stop: clusters and platforms, whose routers learn of it
    late."""

    drain: float = 30.0
    """`WS_DRAIN`: seconds over which connections are closed after SIGTERM and `WS_SETTLE`, 0 to
    3600. Clients that all come back in one second are a load that no deployment should cause."""

    drain_file: str | None = None
    """`WS_DRAIN_FILE`: a file that may be there when SIGTERM arrives, with the seconds that are
    left for the drain: a host that goes down can't wait as long as a deployment."""

    move_file: str | None = None
    """`WS_MOVE_FILE`: a file that appears when some connections are to close while the process goes
    on, with the share of them; a deployment tries its new processes with those clients."""

    close_code: int = 1012
    """`WS_CLOSE_CODE`: sent when the process stops, 1012 (service restart) or 1001 (going
    away). Clients may take 1012 as the advice to come back soon, which 1001 isn't."""

    close_timeout: float = 10.0
    """`WS_CLOSE_TIMEOUT`: seconds a client has to answer a close frame, 0.1 to 300.
    websockets' default."""

    open_timeout: float = 10.0
    """`WS_OPEN_TIMEOUT`: seconds a client has for its opening handshake, 0.1 to 300.
    websockets' default."""

    ping_interval: float | None = 20.0
    """`WS_PING_INTERVAL`: seconds between keepalive pings, 0.1 to 3600; 0 or `off` for none.
    websockets' default; proxies' idle timeouts must be longer."""

    ping_timeout: float | None = 20.0
    """`WS_PING_TIMEOUT`: seconds to wait for the answer to a ping before the connection counts
    as lost, 0.1 to 3600; 0 or `off` waits for ever. websockets' default."""

    max_size: int = 1024 * 1024
    """`WS_MAX_SIZE`: bytes of the largest message taken from a client, after decompression,
    1 to 1 GiB. websockets' default. A connection may buffer 16 times as much."""

    max_age: float = 0.0
    """`WS_MAX_AGE`: seconds after which a connection is closed with the close code, 1 to 604800;
    0 or `off` for no limit. Its client connects anew and is balanced anew, which nothing else
    brings about for connections that last. Each gets an age of its own, 80 to 100 % of this."""

    max_connections: int = 0
    """`WS_MAX_CONNECTIONS`: connections that this process holds, 0 to 10000000; 0 for no cap.
    Further handshakes get 503, which clients answer by trying again later. /healthz goes on saying
    200: a full process is a healthy one, and whoever scales in takes the unhealthy first."""

    compression: str = "low"
    """`WS_COMPRESSION`: `off`, `low`, `medium` or `high`, see `wsapp.compression`. websockets'
    default is `medium`; `low` needs 9 KiB (measured, short messages) to 18 KiB (websockets'
    guide) less for each connection and no more time, for messages that are 10 % larger. Memory
    is what runs out first with many connections."""

    origins: tuple[Origin, ...] = ()
    """`WS_ORIGINS`: origins of web pages that may connect, separated by commas, as in
    `https://example.com, https://*.example.com`; a `*` stands for one label of the name or for
    the port. Empty allows any page, which is wrong for apps that rely on cookies. An app that gives
    `run` origins of its own has those only."""

    origin_required: bool = False
    """`WS_ORIGIN_REQUIRED`: 1 refuses clients that send no Origin; needs `WS_ORIGINS`. Browsers
    always send it and other programs don't, so 0 keeps the latter working."""

    log_level: str = "info"
    """`WS_LOG_LEVEL`: `debug`, `info`, `warning` or `error`. A line for each closed connection
    is written at info, one for each opened or refused connection at debug."""

    log_format: str = "text"
    """`WS_LOG_FORMAT`: `text`, or `json` with an object in each line."""

    metrics: bool = True
    """`WS_METRICS`: 1 answers GET /metrics, 0 doesn't. Only requests that didn't come through
    a proxy (have no X-Forwarded-For) are answered, so that the world can't read them."""

    broker: str | None = None
    """`WS_BROKER`: URL of the Valkey or Redis server by which `wsapp.rooms` reach other processes,
    as `unix:///run/valkey/valkey.sock`, `redis://:password@10.0.0.7:6379/0` or `rediss://…` with
    TLS. The app's requirements need the package `redis` for it."""

    broker_prefix: str = "ws"
    """`WS_BROKER_PREFIX`: what the names of the broker's channels begin with. Services with the
    same one share their rooms."""

    process: str = ""
    """`SUPERVISOR_PROCESS_NAME`: named in log lines and metrics."""

    group: str = ""
    """`SUPERVISOR_GROUP_NAME`: the generation; named in metrics."""

    @property
    def stop_limit(self) -> float:
        """Seconds after SIGTERM by which the process is certainly gone.

        The last connection's turn comes at the end of the drain; its client may then take the
        whole close timeout, its handler the grace. With no connections it's about 0.1 s after
        `settle`.
        """
        window = self.settle + max(self.drain, QUEUE_LIMIT)
        return window + self.close_timeout + HANDLER_GRACE + EXIT_MARGIN

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Config:
        """Read the environment; raise `ConfigError` with everything that is wrong with it."""
        env = _Environment(environ)
        path = env.get("WS_SOCKET", None, _socket_path)
        host = env.get("WS_HOST", None, str)
        port = env.get("WS_PORT", None, _whole(1, 65535))
        if env.has("WS_SOCKET") and (env.has("WS_HOST") or env.has("WS_PORT")):
            env.problems.append(
                "WS_SOCKET is set together with WS_HOST or WS_PORT: "
                "give either a unix socket's path or a host and a port"
            )
        elif env.has("WS_HOST") != env.has("WS_PORT"):
            given, absent = ("HOST", "PORT") if env.has("WS_HOST") else ("PORT", "HOST")
            env.problems.append(f"WS_{given} is set and WS_{absent} isn't: give both")
        # Whatever it says elsewhere is not for the harness.
        told = any(env.has(name) for name in ("WS_SOCKET", "WS_HOST", "WS_PORT"))
        platform_port = None if told else env.get("PORT", None, _whole(1, 65535))
        config = cls(
            socket=path,
            host=host or (ANY_ADDRESS if platform_port else cls.host),
            port=port or platform_port or cls.port,
            platform_port=platform_port,
            share_port=port is not None,
            backlog=env.get("WS_BACKLOG", cls.backlog, _whole(1, 65535)),
            settle=env.get("WS_SETTLE", cls.settle, _seconds(0, 300)),
            drain=env.get("WS_DRAIN", cls.drain, _seconds(0, 3600)),
            drain_file=env.get("WS_DRAIN_FILE", None, str),
            move_file=env.get("WS_MOVE_FILE", None, str),
            close_code=int(env.get("WS_CLOSE_CODE", str(cls.close_code), _one_of("1012", "1001"))),
            close_timeout=env.get("WS_CLOSE_TIMEOUT", cls.close_timeout, _seconds(0.1, 300)),
            open_timeout=env.get("WS_OPEN_TIMEOUT", cls.open_timeout, _seconds(0.1, 300)),
            ping_interval=env.get(
                "WS_PING_INTERVAL", cls.ping_interval, _seconds_or_off(0.1, 3600)
            ),
            ping_timeout=env.get("WS_PING_TIMEOUT", cls.ping_timeout, _seconds_or_off(0.1, 3600)),
            max_size=env.get("WS_MAX_SIZE", cls.max_size, _whole(1, 1024**3, "bytes")),
            max_age=env.get("WS_MAX_AGE", None, _seconds_or_off(1, 604_800)) or cls.max_age,
            max_connections=env.get(
                "WS_MAX_CONNECTIONS", cls.max_connections, _whole(0, 10_000_000, "connections")
            ),
            compression=env.get("WS_COMPRESSION", cls.compression, _one_of(*LEVELS)),
            origins=env.get("WS_ORIGINS", cls.origins, parse_origins),
            origin_required=env.get("WS_ORIGIN_REQUIRED", cls.origin_required, _flag),
            log_level=env.get(
                "WS_LOG_LEVEL", cls.log_level, _one_of("debug", "info", "warning", "error")
            ),
            log_format=env.get("WS_LOG_FORMAT", cls.log_format, _one_of("text", "json")),
            metrics=env.get("WS_METRICS", cls.metrics, _flag),
            broker=env.get("WS_BROKER", cls.broker, _broker),
            broker_prefix=env.get("WS_BROKER_PREFIX", cls.broker_prefix, _word),
            process=env.get("SUPERVISOR_PROCESS_NAME", cls.process, str),
            group=env.get("SUPERVISOR_GROUP_NAME", cls.group, str),
        )
        if config.origin_required and not env.has("WS_ORIGINS"):
            env.problems.append(
                "WS_ORIGIN_REQUIRED is 1 and WS_ORIGINS isn't set: give the origins to allow"
            )
        if config.broker and importlib.util.find_spec("redis") is None:
            env.problems.append(
                "WS_BROKER is set and the package redis isn't there: add it to the app's "
                "requirements"
            )
        if env.problems:
            raise ConfigError(env.problems)
        return config


def misspelt(environ: Mapping[str, str]) -> list[str]:
    """Return a line for each variable that looks like one of ours with a slip in its name."""
    lines = []
    for name in sorted(environ):
        if name.startswith("WS_") and name not in VARIABLES:
            near = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.8)
            lines += [f"{name} isn't used here: is {near[0]} meant?"] if near else []
    return lines


class _Environment:
    """Reads variables and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._values = {name: value.strip() for name, value in environ.items() if value.strip()}
        self.problems: list[str] = []

    def has(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        """Return the parsed value. `parse` raises ValueError with what would do."""
        if not self.has(name):
            return default
        value = self._values[name]
        try:
            return parse(value)
        except ValueError as error:
            # With a password in it, it is nobody's business.
            shown = "…" if name == "WS_BROKER" else value
            self.problems.append(f'{name} is "{shown}": {error}')
            return default


def _whole(low: int, high: int, unit: str = "") -> Callable[[str], int]:
    def parse(text: str) -> int:
        # The length keeps int() away from numbers of thousands of digits.
        if re.fullmatch(r"[0-9]{1,12}", text) and low <= int(text) <= high:
            return int(text)
        of_unit = f" of {unit}" if unit else ""
        raise ValueError(f"give a whole number{of_unit} from {low} to {high}")

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) and low <= float(text) <= high:
            return float(text)
        raise ValueError(f"give seconds from {low:g} to {high:g}")

    return parse


def _seconds_or_off(low: float, high: float) -> Callable[[str], float | None]:
    def parse(text: str) -> float | None:
        if text == "off" or re.fullmatch(r"0+(\.0+)?", text):
            return None
        try:
            return _seconds(low, high)(text)
        except ValueError as error:
            raise ValueError(f'{error}, or "off"') from None

    return parse


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text in allowed:
            return text
        raise ValueError(f"give {', '.join(allowed[:-1])} or {allowed[-1]}")

    return parse


def _flag(text: str) -> bool:
    return _one_of("0", "1")(text) == "1"


def _broker(text: str) -> str:
    if not re.match(r"(unix:///|rediss?://[^/])", text):
        raise ValueError("give a URL that begins with redis://, rediss:// or unix:///")
    return text


def _word(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        return text
    raise ValueError('give up to 64 letters, digits, "_", "." and "-"')


def _socket_path(text: str) -> str:
    size = len(os.fsencode(text))
    if size > SOCKET_PATH_LIMIT:
        raise ValueError(f"give a path of at most {SOCKET_PATH_LIMIT} bytes; this one has {size}")
    if text.endswith("/"):
        raise ValueError("give the path of a socket, not of a folder")
    return text
