"""When a line of a log was written, in the notations of the programs that are there."""

from __future__ import annotations

import calendar
import contextlib
import os
import re
import time

MOMENT = re.compile(
    rb'^(?:\{[^{}]{0,40}?"time": ?")?(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)'
    rb"(?:[.,](\d{1,6})\d*)?(Z|[+-]\d\d:?\d\d)?"
)
BLOCK = 65_536


def read(line: bytes) -> float | None:
    """Return the seconds since 1970 of a line; None if it has none at its beginning.

    2026-01-31T12:00:00.000Z, the same in a line of JSON, Supervisor's and Python's
    2026-01-31 12:00:00,000, and nginx' 2026/01/31 12:00:00. Without a zone it is local time.
    """
    match = MOMENT.match(line)
    if match is None:
        return None
    with contextlib.suppress(ValueError, OverflowError):
        parts = tuple(int(match[number]) for number in range(1, 7))
        zone = (match[8] or b"").decode()
        if zone:
            whole = float(calendar.timegm((*parts, 0, 0, 0)))
        else:
            whole = time.mktime(time.struct_time((*parts, 0, 0, -1)))
        if zone not in ("", "Z"):
            offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
            whole -= offset if zone[0] == "+" else -offset
        return whole + (float(b"0." + match[7]) if match[7] else 0.0)
    return None


def begin(descriptor: int, since: float) -> int:
    """Return where in a file the first line is that is not older than `since`, or one before it.

    Its lines have to be in the order of their times; it is read only where that is looked up.
    """
    low, high = 0, os.fstat(descriptor).st_size
    while high - low > BLOCK:
        middle = (low + high) // 2
        found = _next(descriptor, middle, high)
        if found is None or found[1] >= since:
            high = middle
        else:
            low = found[0]
    return low


def _next(descriptor: int, at: int, end: int) -> tuple[int, float] | None:
    """Return where the next line with a time begins, and that."""
    while at < end:
        block = os.pread(descriptor, BLOCK, at)
        if not block:
            return None
        place = block.find(b"\n") + 1
        while 0 < place < len(block):
            moment = read(block[place : place + 100])
            if moment is not None:
                return at + place, moment
            place = block.find(b"\n", place) + 1
        at += len(block)
    return None
