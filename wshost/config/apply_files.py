"""Put a set of files in place, whole or not at all.

Stage everything, let the real program check the staged set, swap it in, activate it, verify that
it works; if any step fails, put the previous files back, activate those, and say what went wrong.

A marker holds the digest of the set that was last applied to its end. While a set is being
applied there is none, so a run that is killed half-way is seen and repeated by the next one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from wshost.common import atomic, commands, storage
from wshost.common.commands import StepError

if TYPE_CHECKING:
    from wshost.requests import ApplyFiles, File

MODE = 0o644
"""Of markers: the planner compares it (FileSet.marker)."""


class Marker(TypedDict, total=False):
    """What a marker says."""

    digest: str | None
    """None while the set is being applied."""
    paths: list[str]


def main(request: ApplyFiles) -> None:
    """Apply the set of files in `request`; exit 1 with the reason if it can't be applied."""
    try:
        with storage.exclusive(storage.STATE):
            apply(request, storage.STATE)
    except (StepError, OSError) as error:
        sys.exit(f"{request['name']}: {error}")


def apply(request: ApplyFiles, state: Path, root: Path = Path("/")) -> None:
    """Apply the set below `root`, keeping its marker and its previous files below `state`."""
    marker = state / "sets" / f"{request['name']}.json"
    known = read(marker)
    gone = {*request["absent"], *known.get("paths", [])}
    gone -= {file["path"] for file in request["files"]}

    try:
        with staged(request["files"], state) as stage:
            commands.run(request["validate"], stage=stage)
    except StepError as error:
        raise StepError(f"{error}\nNothing was changed.") from None

    mine = {*known.get("paths", []), *_paths(state)}
    _keep_for_ever([file["path"] for file in request["files"]], mine, state / "before", root)
    keep = state / "previous" / request["name"]
    touched = [file["path"] for file in request["files"]] + sorted(gone)
    # What an interrupted run has put in place is no state to come back to; its own copies are.
    interrupted = known.get("paths", []) if known and known["digest"] is None else None
    _keep(touched, keep, root, interrupted)
    marker.parent.mkdir(parents=True, exist_ok=True)
    paths = sorted({*known.get("paths", []), *(file["path"] for file in request["files"])})
    atomic.write(marker, json.dumps({"digest": None, "paths": paths}), MODE)
    try:
        commands.run(request["prepare"])
        for file in request["files"]:
            atomic.place(file, root)
        for path in gone:
            atomic.below(root, path).unlink(missing_ok=True)
        commands.run(request["activate"])
        commands.run(request["verify"])
    except (StepError, OSError, KeyError) as error:
        _restore(touched, keep, root)
        with contextlib.suppress(StepError):
            commands.run(request["activate"], recovering=True)
            # The previous set is applied to its end again.
            atomic.write(marker, json.dumps(known), MODE)
        raise StepError(f"{error}\nThe previous files are back.") from error
    paths = [file["path"] for file in request["files"]]
    if paths:
        atomic.write(marker, json.dumps({"digest": request["digest"], "paths": paths}), MODE)
    else:
        # A set without files is one that has been removed.
        marker.unlink()


@contextlib.contextmanager
def staged(files: list[File], state: Path) -> Iterator[Path]:
    """Write the files below a fresh folder that only root can look into, and remove it after."""
    stage = Path(tempfile.mkdtemp(prefix="stage-", dir=state))
    try:
        for file in files:
            target = atomic.below(stage, file["path"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(base64.b64decode(file["content"]))
        yield stage
    finally:
        shutil.rmtree(stage)


def _keep(paths: list[str], keep: Path, root: Path, kept: list[str] | None) -> None:
    """Copy the files as they are now, so that they can be put back and looked at later.

    kept: paths that an interrupted run has copied already, or None for a fresh start.
    """
    if kept is None:
        shutil.rmtree(keep, ignore_errors=True)
    keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in paths:
        source, copy = atomic.below(root, path), atomic.below(keep, path)
        if path not in (kept or ()) and (source.is_file() or source.is_symlink()):
            copy.parent.mkdir(parents=True, exist_ok=True)
            atomic.copy(source, copy)


def _paths(state: Path) -> set[str]:
    """Return the paths of all sets."""
    return {
        path for each in (state / "sets").glob("*.json") for path in read(each).get("paths", ())
    }


def _keep_for_ever(paths: list[str], ours: set[str], before: Path, root: Path) -> None:
    """Copy what no set of ours has written, the first time that one replaces it."""
    for path in paths:
        source, copy = atomic.below(root, path), atomic.below(before, path)
        if path in ours or copy.exists() or not (source.is_file() or source.is_symlink()):
            continue
        before.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy.parent.mkdir(parents=True, exist_ok=True)
        atomic.copy(source, copy)


def _restore(paths: list[str], keep: Path, root: Path) -> None:
    for path in paths:
        copy, target = atomic.below(keep, path), atomic.below(root, path)
        if not (copy.exists() or copy.is_symlink()):
            target.unlink(missing_ok=True)
            continue
        atomic.copy(copy, target)


def read(marker: Path) -> Marker:
    """Return what a marker says; nothing if it is not there, or has another shape."""
    try:
        found: Marker = json.loads(marker.read_text())
        digest, paths = found["digest"], found["paths"]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    good = isinstance(digest, str | None) and isinstance(paths, list)
    return found if good and all(isinstance(path, str) for path in paths) else {}
