"""What a measurement ran on: numbers of another machine are others."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def describe() -> dict[str, str | int]:
    """Return the machine: processors, memory in GiB, kernel, Python."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processors": len(os.sched_getaffinity(0)),
        "model": _model(),
        "memory": round(memory / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of Python packages; those that are not there are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the commit that is checked out, with a + if files differ from it.

    Results themselves do not count: a run writes them.
    """
    found = _git("rev-parse", "--short=10", "HEAD")
    changed = _git("status", "--porcelain", "--", ".", ":!bench/results", ":!docs")
    return found + ("+" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments), cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
