"""What the packet filter has loaded of a service, so that a change by somebody else is seen.

    python3 -c … ruleset NAME

As a program it notes what is loaded now, for the survey to compare.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
import sys
from pathlib import Path

STATE = Path("/var/lib/wsdeploy/services")


def loaded(name: str) -> str:
    """Return a digest of a service's loaded table: its rules, not what they have counted."""
    try:
        done = subprocess.run(
            ("nft", "--stateless", "list", "table", "inet", name),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    # Sets that rules fill: who has tried lately.
    text = re.sub(r"\s*elements = \{[^}]*\}", "", done.stdout)
    return hashlib.sha256(text.encode()).hexdigest() if done.returncode == 0 else ""


def as_noted(name: str) -> bool:
    """Tell whether what is loaded is what was loaded by the last deployment."""
    try:
        return bool(digest := loaded(name)) and _note(name).read_text() == digest
    except (OSError, ValueError):
        return False


def _note(name: str) -> Path:
    return STATE / name / "ruleset"


def main(name: str) -> None:
    """Note what is loaded."""
    folder = _note(name).parent
    for made in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            made.mkdir(mode=0o700)
    new = folder / ".ruleset.new"
    new.write_text(loaded(name))
    new.replace(_note(name))


if __name__ == "__main__":
    main(sys.argv[2])
