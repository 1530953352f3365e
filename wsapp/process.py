"""What Linux tells about this process, for its metrics."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

_STARTED = time.time()


def process_numbers() -> dict[str, float]:
    """Return the values of Prometheus' standard `process_…` metrics."""
    cpu = resource.getrusage(resource.RUSAGE_SELF)
    numbers = {
        "process_cpu_seconds_total": cpu.ru_utime + cpu.ru_stime,
        "process_max_fds": float(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        "process_start_time_seconds": _STARTED,
    }
    if Path("/proc/self").exists():  # not on macOS, where apps may be developed
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        numbers["process_resident_memory_bytes"] = pages * os.sysconf("SC_PAGE_SIZE")
        numbers["process_open_fds"] = len(os.listdir("/proc/self/fd"))
    return numbers
