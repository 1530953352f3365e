"""Connections end at a certain age, so that balance among processes and hosts repairs itself."""

from __future__ import annotations

import asyncio
import random

from wsapp.config import Config
from wsapp.connections import Connection

JITTER = 0.2
"""Share of the maximum age that is left to chance: those who came together shall not all come
back together."""


class Lifetime:
    """Gives each connection its age; `start` is called when it opens."""

    def __init__(self, config: Config) -> None:
        self._max_age = config.max_age
        self._code = config.close_code
        self._timeout = config.close_timeout
        self._ending: set[asyncio.Task[None]] = set()

    def start(self, connection: Connection) -> None:
        """Let a connection end at an age between 80 and 100 % of the maximum."""
        age = self._max_age * random.uniform(1 - JITTER, 1)  # noqa: S311
        connection.expiry = connection.loop.call_later(age, self._end, connection)

    def _end(self, connection: Connection) -> None:
        task = asyncio.create_task(connection.end(self._code, self._timeout))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
