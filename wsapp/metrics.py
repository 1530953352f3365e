"""Numbers of one process, and how Prometheus reads them. Pure: nothing here does I/O."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""

LAG_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds. Below 5 ms an event loop is just busy; beyond 1 s clients notice."""

MINUTE = 60
"""Seconds."""

RESULTS, CODES = ("101", "503", "timeout", "invalid"), ("1000", "1001", "1006", "1011", "1012")
"""Results of handshakes, and close codes, that are there before their first event: the first one
would be none to a rate otherwise."""

Labels = Mapping[str, str]


def _counted_from_zero(names: tuple[str, ...]) -> Counter[str]:
    return Counter(dict.fromkeys(names, 0))


@dataclass
class Histogram:
    """Counts observations up to each bound, as Prometheus wants them."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass
class LastMinute:
    """What has happened in the last minute, to the second."""

    clock: Callable[[], float] = time.monotonic
    seconds: deque[tuple[int, Counter[str], float]] = field(default_factory=deque)
    """Seconds in which anything has happened: which events how often, and the greatest value."""

    def count(self, event: str) -> None:
        """Count one event."""
        self._now()[1][event] += 1

    def observe(self, value: float) -> None:
        """Note a value, of which the greatest is of interest."""
        second, events, greatest = self._now()
        self.seconds[-1] = second, events, max(value, greatest)

    def counts(self) -> Counter[str]:
        """Return how often each event has happened."""
        self._forget()
        return sum((events for _, events, _ in self.seconds), Counter())

    def greatest(self) -> float:
        """Return the greatest value."""
        self._forget()
        return max((value for _, _, value in self.seconds), default=0.0)

    def _now(self) -> tuple[int, Counter[str], float]:
        now = int(self.clock())
        if not self.seconds or self.seconds[-1][0] != now:
            self._forget()
            self.seconds.append((now, Counter(), 0.0))
        return self.seconds[-1]

    def _forget(self) -> None:
        while self.seconds and self.seconds[0][0] <= self.clock() - MINUTE - 1:
            self.seconds.popleft()


@dataclass
class RoomNumbers:
    """What one process has seen of its rooms."""

    rooms: int = 0
    """Rooms with a member here."""

    messages: Counter[str] = field(
        default_factory=lambda: _counted_from_zero(("sent", "received", "lost"))
    )
    """`sent` here, `received` from other processes, and `lost` to those."""

    slow: int = 0
    """Members that were closed as they did not read."""

    broker: bool | None = None
    """Whether the broker is there; None without one, and before it has been tried."""


@dataclass
class Metrics:
    """What one process has seen since it started."""

    info: dict[str, str] = field(default_factory=dict)
    """Labels that describe the process: its name, versions, the event loop."""

    max_connections: int = 0
    open: int = 0
    draining: bool = False
    handshakes: Counter[str] = field(default_factory=lambda: _counted_from_zero(RESULTS))
    """By result: the response's status, `timeout`, or `invalid` (no answerable request)."""

    closes: Counter[str] = field(default_factory=lambda: _counted_from_zero(CODES))
    """By close code; 1006 is a connection that broke without a close frame."""

    loop_lag: Histogram = field(default_factory=lambda: Histogram(LAG_BUCKETS))
    """Seconds by which a timer of the event loop came late."""

    rooms: RoomNumbers = field(default_factory=RoomNumbers)

    recent_handshakes: LastMinute = field(default_factory=LastMinute)
    recent_closes: LastMinute = field(default_factory=LastMinute)
    recent_lag: LastMinute = field(default_factory=LastMinute)

    def count_handshake(self, result: str) -> None:
        """Count a handshake that has ended."""
        self.handshakes[result] += 1
        self.recent_handshakes.count(result)

    def count_close(self, code: str) -> None:
        """Count a connection that was closed."""
        self.closes[code] += 1
        self.recent_closes.count(code)

    def observe_lag(self, seconds: float) -> None:
        """Note by how much a timer of the event loop came late."""
        self.loop_lag.observe(seconds)
        self.recent_lag.observe(seconds)


def render(metrics: Metrics, process: Mapping[str, float]) -> str:
    """Return all numbers in Prometheus' text format.

    `process` has the values of the standard `process_…` metrics, by name.
    """
    return "".join(f"{line}\n" for line in _lines(metrics, process))


def _lines(metrics: Metrics, process: Mapping[str, float]) -> Iterator[str]:
    yield from _family("wsapp_info", "gauge", "What runs here.", [(metrics.info, 1)])
    yield from _family(
        "wsapp_connections", "gauge", "Open WebSocket connections.", [({}, metrics.open)]
    )
    yield from _family(
        "wsapp_connections_max",
        "gauge",
        "Cap on open connections; 0 is none.",
        [({}, metrics.max_connections)],
    )
    yield from _family(
        "wsapp_draining",
        "gauge",
        "1 while the process closes its connections to stop.",
        [({}, int(metrics.draining))],
    )
    yield from _family(
        "wsapp_handshakes_total",
        "counter",
        "Opening handshakes by result.",
        _by("result", metrics.handshakes),
    )
    yield from _family(
        "wsapp_closes_total",
        "counter",
        "Closed connections by close code.",
        _by("code", metrics.closes),
    )
    yield from _histogram(
        "wsapp_event_loop_lag_seconds", "Lateness of the event loop's timers.", metrics.loop_lag
    )
    yield from _family(
        "wsapp_handshakes_last_minute",
        "gauge",
        "Opening handshakes of the last minute by result.",
        _by("result", metrics.recent_handshakes.counts()),
    )
    yield from _family(
        "wsapp_closes_last_minute",
        "gauge",
        "Connections closed in the last minute by close code.",
        _by("code", metrics.recent_closes.counts()),
    )
    yield from _family(
        "wsapp_event_loop_lag_last_minute_seconds",
        "gauge",
        "Greatest lateness of the event loop's timers in the last minute.",
        [({}, metrics.recent_lag.greatest())],
    )
    yield from _of_rooms(metrics.rooms)
    for name, value in process.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        yield from _family(name, kind, _PROCESS_HELP[name], [({}, value)])


def _of_rooms(numbers: RoomNumbers) -> Iterator[str]:
    yield from _family(
        "wsapp_rooms", "gauge", "Rooms with a member in this process.", [({}, numbers.rooms)]
    )
    yield from _family(
        "wsapp_room_messages_total",
        "counter",
        "Messages to rooms: sent here, received from other processes, lost to those.",
        _by("way", numbers.messages),
    )
    yield from _family(
        "wsapp_room_slow_members_total",
        "counter",
        "Members closed with 1013 as they did not read.",
        [({}, numbers.slow)],
    )
    yield from _family(
        "wsapp_broker_away",
        "gauge",
        "1 while the broker of the rooms can't be reached.",
        [({}, int(numbers.broker is False))],
    )


_PROCESS_HELP = {
    "process_cpu_seconds_total": "User and system CPU time spent in seconds.",
    "process_open_fds": "Number of open file descriptors.",
    "process_max_fds": "Maximum number of open file descriptors.",
    "process_resident_memory_bytes": "Resident memory size in bytes.",
    "process_start_time_seconds": "Start time of the process since unix epoch in seconds.",
}


def _family(name: str, kind: str, text: str, samples: list[tuple[Labels, float]]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield f"{name}{_labels(labels)} {_number(value)}"


def _by(label: str, counts: Counter[str]) -> list[tuple[Labels, float]]:
    return [({label: value}, count) for value, count in sorted(counts.items())]


def _histogram(name: str, text: str, histogram: Histogram) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} histogram"
    seen = 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        seen += count
        le = "+Inf" if bound == float("inf") else _number(bound)
        yield f"{name}_bucket{_labels({'le': le})} {seen}"
    yield f"{name}_sum {_number(histogram.total)}"
    yield f"{name}_count {seen}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
