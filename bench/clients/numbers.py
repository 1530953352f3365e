"""What clients have seen, in numbers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Observations:
    """What one worker has seen during one command. Times are in seconds."""

    handshakes: int = 0
    messages: int = 0
    """Messages whose echo came back."""
    refused: Counter[str] = field(default_factory=Counter)
    """Handshakes that failed, by reason."""
    cut: list[tuple[float, int]] = field(default_factory=list)
    """Connections that the other side ended: when (monotonic) and with which close code."""
    held: int = 0
    """Clients that are connected at the end."""
    seconds: float = 0.0
    """Duration of the measurement."""
    processor: float = 0.0
    """Processor time that the worker took."""


@dataclass(frozen=True)
class Report:
    """What all workers have seen during one command. Times are in seconds."""

    handshakes: int
    messages: int
    refused: dict[str, int]
    cut: list[tuple[float, int]]
    """Connections that the other side ended: seconds from the start, close code; in order."""
    held: int
    seconds: float
    processor: float

    def cut_within(self, seconds: float) -> int:
        """Return how many connections the other side ended within so many seconds."""
        return sum(at <= seconds for at, _ in self.cut)


def report(seen: Sequence[Observations], began: float) -> Report:
    """Sum up what workers have seen since `began` (monotonic seconds)."""
    return Report(
        handshakes=sum(one.handshakes for one in seen),
        messages=sum(one.messages for one in seen),
        refused=dict(sum((one.refused for one in seen), Counter[str]())),
        cut=sorted((at - began, code) for one in seen for at, code in one.cut),
        held=sum(one.held for one in seen),
        seconds=max(one.seconds for one in seen),
        processor=sum(one.processor for one in seen),
    )
