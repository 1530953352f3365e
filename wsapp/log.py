"""Log lines: one event each, as text or JSON, with the client's address but no query strings."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from websockets.http11 import Request

from wsapp.config import Config

logger = logging.getLogger("wsapp")
"""Writes what happens to the process and to its connections."""

FIELD_LIMIT = 200
"""Characters of a value that a client chose; more of it says nothing and fills disks."""


def setup(config: Config) -> None:
    """Send log lines to standard error, unless the app has set up logging of its own."""
    if logging.root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines() if config.log_format == "json" else TextLines())
    logging.root.addHandler(handler)
    logging.root.setLevel(config.log_level.upper())
    # The library's own lines about connections repeat ours, and at debug they would show
    # requests with their query strings and every message.
    logging.getLogger("websockets").setLevel(max(logging.WARNING, logging.root.level))


def request_fields(peer: str, request: Request | None) -> dict[str, str]:
    """Return what identifies a connection's client in a log line.

    `peer` is the other end of the connection. The app listens for its proxy only, so the proxy's
    word is taken: the client is the last address in X-Forwarded-For, the one that the proxy
    itself has seen.
    """
    fields = {"client": peer}
    if request is None:
        return fields
    headers = request.headers
    if forwarded := ",".join(headers.get_all("X-Forwarded-For")):
        fields["client"] = clean(forwarded.rpartition(",")[2].strip())
    fields["path"] = clean(request.path.partition("?")[0])
    if scheme := headers.get_all("X-Forwarded-Proto"):
        fields["scheme"] = clean(scheme[0])
    if request_id := headers.get_all("X-Request-ID"):
        fields["request_id"] = clean(request_id[0])
    return fields


def clean(value: str) -> str:
    """Make what a client has sent fit for a log line: one short word of visible ASCII."""
    return re.sub(r"[^!#-~]", "?", value[:FIELD_LIMIT]) or "-"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = dict(getattr(record, "fields", {}))
    websocket = getattr(record, "websocket", None)  # set by the loggers of connections
    if websocket is not None and "client" not in fields:
        with suppress(ReferenceError):  # the library keeps a weak reference
            fields = request_fields(websocket.peer, websocket.request) | fields
    return fields


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextLines(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO closed client=192.0.2.1 code=1000 …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and below it the traceback if there is one."""
        words = [_time(record), record.levelname, record.getMessage()]
        words += [f"{name}={value}" for name, value in _fields(record).items()]
        line = " ".join(words)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JSONLines(logging.Formatter):
    """The same in an object: `time`, `level`, `message` and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object in one line, with any traceback as its `exception`."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
