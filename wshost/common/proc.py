"""What the kernel tells of a process.

Its name can be any bytes, such as a title that is cut in the middle of a letter.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path


def fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: state, parent, and so on (man proc).

    Raises OSError if there is no such process.
    """
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def age(pid: int) -> float:
    """Return for how many seconds a process has been there, whatever was done to the clock since.

    Raises OSError if it is gone.
    """
    ticks = int(fields(pid)[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def lineage(pid: int) -> Iterator[int]:
    """Yield a process and those that it comes from, but for the first of all, as far as known."""
    # It may end meanwhile.
    with contextlib.suppress(OSError, IndexError):
        while pid > 1:
            parent = int(fields(pid)[1])
            yield pid
            pid = parent


def name(pid: int) -> str:
    """Return a process's name, as far as it can be read. Raises OSError if it is gone."""
    return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
