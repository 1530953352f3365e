"""The block of names in a hosts file: this machine's own, and that of every sandbox host."""

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

BEGIN = "# BEGIN wsdeploy sandbox"
END = "# END wsdeploy sandbox"
HOSTS_FILE = Path("/etc/hosts")

Entry = tuple[str, tuple[str, ...]]
"""An address and its names."""


def with_block(text: str, entries: Sequence[Entry]) -> str:
    """Return a hosts file's text with the block replaced, added, or (without entries) removed."""
    # A block without its end is left alone: what follows it may be the user's.
    kept = re.sub(f"^{BEGIN}\n.*?^{END}\n", "", text, flags=re.DOTALL | re.MULTILINE)
    if not entries:
        return kept
    if kept and not kept.endswith("\n"):
        kept += "\n"
    lines = [BEGIN, *(f"{address} {' '.join(names)}" for address, names in entries), END]
    return kept + "".join(f"{line}\n" for line in lines)


def has_block(entries: Sequence[Entry], file: Path = HOSTS_FILE) -> bool:
    """Tell whether a hosts file has just this block."""
    text = _read(file)
    return with_block(text, entries) == text


def write_block(entries: Sequence[Entry], file: Path = HOSTS_FILE) -> None:
    """Put the block into a hosts file, or take it out again if there are no entries."""
    old = _read(file)
    new = with_block(old, entries)
    if new != old:
        replace(file, new)
    else:
        _aside(file).unlink(missing_ok=True)  # left by a command that was killed


def replace(file: Path, text: str) -> None:
    """Replace a file's text at once, or in place if it is mounted there (as in containers)."""
    aside = _aside(file)
    aside.write_text(text)
    aside.chmod(file.stat().st_mode & 0o777 if file.exists() else 0o644)
    try:
        os.replace(aside, file)
    except OSError as error:
        aside.unlink()
        if error.errno != errno.EBUSY:
            raise
        file.write_text(text)


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _aside(file: Path) -> Path:
    return file.with_name(f".{file.name}.wsdeploy-sandbox")
