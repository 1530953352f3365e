"""How long the processes of a generation may be silent, and how they are asked. Times in seconds.

It stands in the generation's own file under Supervisor's conf.d, so that no generation is ever
judged by another one's terms, whatever is being deployed.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

MISSES = 2
"""Questions that must be without an answer at the same time. One can be lost by itself."""


@dataclass(frozen=True)
class Terms:
    """What is agreed for the processes of a generation."""

    listen: str
    """Where they listen, as launch.py takes it."""
    host: str
    """Host header of a question."""
    path: str
    """What is asked for."""
    hang_timeout: float
    """How long a process may be silent. It is killed after 4/5 of this, up to all of it."""
    start_timeout: float
    """How long it may take until its first answer."""
    stop_wait: float
    """How long it may live on after it has stopped listening: as long as Supervisor would wait."""

    @property
    def interval(self) -> float:
        """Time between two questions to a process that answers."""
        return self.hang_timeout / 5

    @property
    def patience(self) -> float:
        """Time that each of the last questions has for its answer."""
        return (self.hang_timeout - self.interval) / MISSES


def read(conf: Path, group: str) -> Terms | None:
    """Read the terms of a generation; None if there are none: it is not to be watched."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(conf.read_text())
        section = parser[f"watchdog:{group}"]
        return Terms(
            listen=section["listen"],
            host=section["host"],
            path=section["path"],
            hang_timeout=float(section["hang_timeout"]),
            start_timeout=float(section["start_timeout"]),
            stop_wait=float(section["stop_wait"]),
        )
    except (OSError, KeyError, ValueError, configparser.Error):
        return None
