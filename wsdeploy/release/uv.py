"""Run uv, which knows lock files, indexes and wheels."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path


def run(
    *arguments: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run uv with `arguments` and wait for it. A failure is in what it returns.

    folder: where to run it; None is the current folder. environment: None is the current one.
    """
    # Machines that only install releases which were built elsewhere have none.
    from uv import find_uv_bin  # noqa: PLC0415

    return subprocess.run(
        (find_uv_bin(), *arguments),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def complaint(stderr: str) -> str:
    """Return what uv said of a failure in one line: the error and its causes."""
    lines = [line.strip() for line in stderr.splitlines()]
    said = [line.split(": ", 1)[1] for line in lines if line.startswith(("error: ", "cause: "))]
    return ": ".join(said) or next((line for line in reversed(lines) if line), "it failed")
