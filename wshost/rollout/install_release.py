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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wshost.requests import InstallRelease


def main(request: InstallRelease) -> None:
    """Install the base64 tar archive that follows `request` as `releases`/`id`."""
    archive = base64.b64decode(sys.stdin.read())
    try:
        install(archive, Path(request["releases"]), request["id"])
    except OSError as error:
        sys.exit(f"release {request['id']}: {error.strerror} ({error.filename})")


def install(archive: bytes, releases: Path, release_id: str) -> None:
    """Unpack `archive` as `releases`/`release_id`, owned by this user, bytecode compiled."""
    target = releases / release_id
    if target.exists():
        return
    for leftover in releases.glob(".new-*"):
        shutil.rmtree(leftover)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        # Bytecode is about as large as its source.
        need = 2 * sum(member.size for member in tar)
    room = shutil.disk_usage(releases).free
    if need > room:
        sys.exit(
            f"release {release_id} needs {need / 1e6:,.1f} MB in {releases}, and there are "
            f"{room / 1e6:,.1f} MB; make room there"
        )
    unpacked = Path(tempfile.mkdtemp(prefix=".new-", dir=releases))
    try:
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
    except BaseException:
        # Half a release would keep a full disk full.
        shutil.rmtree(unpacked, ignore_errors=True)
        raise
