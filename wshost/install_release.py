"""Unpack a release that arrives on standard input, under its final name only when it is whole."""

from __future__ import annotations

import base64
import compileall
import io
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any


def main(request: dict[str, Any]) -> None:
    """Install the base64 tar archive that follows `request` as `releases`/`id`."""
    archive = base64.b64decode(sys.stdin.read())
    install(archive, Path(request["releases"]), request["id"])


def install(archive: bytes, releases: Path, identity: str) -> None:
    """Unpack `archive` as `releases`/`identity`, owned by this user, bytecode compiled."""
    target = releases / identity
    if target.exists():
        return
    for leftover in releases.glob(".new-*"):
        shutil.rmtree(leftover)
    unpacked = Path(tempfile.mkdtemp(prefix=".new-", dir=releases))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        # Debian 12's Python is older than filters; the archive is our own.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        tar.extractall(unpacked)  # noqa: S202
    # The app's user may not write here, so Python could never keep the bytecode itself. The
    # release never changes, so there is no need to compare time stamps at each import either.
    compileall.compile_dir(
        unpacked,
        quiet=2,
        stripdir=str(unpacked),
        prependdir=str(target),
        invalidation_mode=compileall.py_compile.PycInvalidationMode.UNCHECKED_HASH,  # type: ignore[attr-defined]
    )
    unpacked.chmod(0o755)
    os.sync()
    unpacked.rename(target)
