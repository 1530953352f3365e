"""What clients have seen, in numbers. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that a share (0 to 1) of the ordered values do not exceed; 0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Seen:
    """What a worker has seen in one command."""

    opened: array[float] = field(default_factory=lambda: array("d"))
    """When clients got in, in monotonic seconds."""
    waited: array[float] = field(default_factory=lambda: array("d"))
    """How long each of them took, in seconds, from its first attempt on."""
    refused: Counter[str] = field(default_factory=Counter)
    """Attempts that failed, by reason."""
    first_refused: tuple[float, str] | None = None
    """When the first of them failed, and why."""
    lost: Counter[int] = field(default_factory=Counter)
    """Connections that the server has ended, by close code."""
    resumed: int = 0
    """How many of the handshakes resumed a TLS session."""
    latencies: array[float] = field(default_factory=lambda: array("d"))
    """Seconds from each message to its echo."""
    held: int = 0
    """Clients that are connected at the end."""
    away: int = 0
    """Clients that are not, and should be."""
    given_up: int = 0
    """Clients that have given up for good."""
    seconds: float = 0.0
    """How long it took."""
    processor: float = 0.0
    """Seconds of processor time that the worker took."""

    def refuse(self, now: float, reason: str) -> None:
        """Count an attempt that failed."""
        self.refused[reason] += 1
        if self.first_refused is None:
            self.first_refused = (now, reason)

    def merge(self, other: Seen) -> None:
        """Add what another worker has seen at the same time."""
        for name in ("opened", "waited", "latencies"):
            getattr(self, name).extend(getattr(other, name))
        self.refused.update(other.refused)
        self.lost.update(other.lost)
        firsts = [seen for seen in (self.first_refused, other.first_refused) if seen]
        self.first_refused = min(firsts) if firsts else None
        for name in ("resumed", "held", "away", "given_up", "processor"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seconds = max(self.seconds, other.seconds)


@dataclass(frozen=True)
class Report:
    """What all workers together have seen in one command. Seconds, unless it says otherwise."""

    seconds: float
    processor: float
    """Seconds of processor time that the generator took."""
    held: int
    """Clients that are connected at the end."""
    handshakes: int
    handshakes_per_second: float
    handshake_p50: float
    handshake_p99: float
    resumed: int
    """How many of the handshakes resumed a TLS session."""
    refused: dict[str, int]
    """Attempts that failed, by reason."""
    first_refusal: str | None
    held_at_first_refusal: int | None
    """Clients that were connected when somebody was refused for the first time."""
    lost: dict[str, int]
    """Connections that the server has ended, by close code."""
    messages: int
    messages_per_second: float
    p50: float
    """From a message to its echo."""
    p99: float
    away: int
    """Clients that are not connected at the end, and should be."""
    given_up: int
    """Clients among them who will not try again."""
    back_99: float | None
    """From the beginning until 99 % of those who lost their connection have one again."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


def report(seen: Sequence[Seen], began: float) -> Report:
    """Put together what workers have seen; `began` is when, in monotonic seconds."""
    all_seen = Seen()
    for one in seen:
        all_seen.merge(one)
    opened, waited = sorted(all_seen.opened), sorted(all_seen.waited)
    latencies = sorted(all_seen.latencies)
    first = all_seen.first_refused
    everybody = len(opened) + all_seen.away
    enough = -(-99 * everybody // 100)
    seconds = all_seen.seconds or 1.0
    return Report(
        seconds=all_seen.seconds,
        processor=all_seen.processor,
        held=all_seen.held,
        handshakes=len(opened),
        handshakes_per_second=len(opened) / seconds,
        handshake_p50=percentile(waited, 0.5),
        handshake_p99=percentile(waited, 0.99),
        resumed=all_seen.resumed,
        refused=dict(all_seen.refused),
        first_refusal=first[1] if first else None,
        held_at_first_refusal=sum(at < first[0] for at in opened) if first else None,
        lost={str(code): count for code, count in all_seen.lost.items()},
        messages=len(latencies),
        messages_per_second=len(latencies) / seconds,
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        away=all_seen.away,
        given_up=all_seen.given_up,
        back_99=opened[enough - 1] - began if 0 < enough <= len(opened) else None,
    )
