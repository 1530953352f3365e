"""How long the processes of a generation may be silent, and how they are asked. Times in seconds.

It stands in the generation's own description, so that no generation is ever judged by what holds
for another one, whatever is being deployed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wshost.common.listen import Listen
from wshost.rollout import description

MISSES = 2
"""Questions that must be without an answer at the same time. One can be lost by itself."""


@dataclass(frozen=True)
class Liveness:
    """How it is told whether the processes of a generation live."""

    listen: Listen
    """Where they listen."""
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


def read(conf: Path, group: str) -> Liveness | None:
    """Read how a generation is watched; None if it is not.

    conf: Supervisor's file. group: Supervisor's name of the generation.
    """
    found = description.read(conf, group)
    watch = found["watch"] if found else None
    if found is None or watch is None:
        return None
    try:
        return Liveness(
            Listen.read(found["listen"]),
            host=str(watch["host"]),
            path=str(watch["path"]),
            hang_timeout=float(watch["hang_timeout"]),
            start_timeout=float(watch["start_timeout"]),
            stop_wait=float(watch["stop_wait"]),
        )
    except (TypeError, ValueError, KeyError):
        return None
