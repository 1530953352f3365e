"""A few clients move first: whoever deploys sees how the new processes bear them, then goes on."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

from wsapp.config import Config
from wsapp.connections import Connection, Connections
from wsapp.log import logger

INTERVAL = 0.25
"""Seconds between two looks for the file of `WS_MOVE_FILE`."""


class Move:
    """Closes a share of the connections each time that it's asked to, while the rest stay."""

    def __init__(self, config: Config, connections: Connections) -> None:
        self._config = config
        self._connections = connections
        self._ending: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Close a share of the connections whenever the file appears; its text is the share."""
        path = self._config.move_file
        while path is not None:
            await asyncio.sleep(INTERVAL)
            try:
                share = float(Path(path).read_text())
                os.unlink(path.encode())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                logger.warning("can't read %s: %s", path, error)
                return
            self._close(share)

    def _close(self, share: float) -> None:
        mine = [each for each in self._connections.all if each.opened_at is not None]
        count = max(1, int(len(mine) * share)) if mine else 0
        logger.info("moving %d of %d connections", count, len(mine))
        for connection in random.sample(mine, count):
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        task = asyncio.create_task(
            connection.end(self._config.close_code, self._config.close_timeout)
        )
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
