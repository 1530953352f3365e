"""Let the renewal order a certificate now, and say how it went.

It runs as the service that its timer starts, so that the first certificate is got in the same way
as all others.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wshost.requests import OrderNow


def main(request: OrderNow) -> None:
    """Start the `unit` of the request and wait; exit 1 with what it said if it fails."""
    unit = request["unit"]
    started = subprocess.run(
        ("systemctl", "start", unit), capture_output=True, text=True, check=False
    )
    if started.returncode:
        sys.exit(said(unit) or started.stderr)


def said(unit: str) -> str:
    """Return the last line that a unit's program has written in its last run."""
    shown = _output("systemctl", "show", "--property=InvocationID", "--value", unit)
    # What was written last may not be there yet.
    _output("journalctl", "--sync")
    lines = _output(
        "journalctl", f"_SYSTEMD_INVOCATION_ID={shown.strip()}", "--output=cat", "--no-pager"
    ).splitlines()
    return lines[-1] if lines else ""


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
