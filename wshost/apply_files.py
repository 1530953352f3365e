"""Put a set of files in place, whole or not at all.

Stage everything, let the real program check the staged set, swap it in, activate it, verify that
it works; if any step fails, put the previous files back, activate those, and say what went wrong.

A marker holds the digest of the set that was last applied to its end. While a set is being
applied there is none, so a run that is killed half-way is seen and repeated by the next one.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import grp
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STATE = Path("/var/lib/wsdeploy")


class StepError(Exception):
    """A command of the set failed; the message holds what it printed."""


def main(request: dict[str, Any]) -> None:
    """Apply the set of files in `request`; exit 1 with the reason if it can't be applied.

    Keys of the request: `name` and `digest` of the set; `files`, each with `path`, `mode`,
    `owner`, `group` and base64 `content`; `absent`, paths to remove; and four lists of commands:
    `validate`, `prepare` (before files change), `activate` and `verify`. In `validate`, {stage}
    stands for the staged tree's root.
    """
    try:
        with exclusive(STATE):
            apply(request, STATE)
    except (StepError, OSError) as error:
        sys.exit(f"{request['name']}: {error}")


@contextlib.contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Let one run at a time change this host; a second one waits."""
    # Closed to others: who can open a file can lock it, and hold up every run.
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(state / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in state.glob("stage-*"):
            # Of a run that was killed; it may hold secrets.
            shutil.rmtree(leftover)
        yield


def apply(request: dict[str, Any], state: Path, root: Path = Path("/")) -> None:
    """Apply the set below `root`, keeping its marker and its previous files below `state`."""
    marker = state / "sets" / f"{request['name']}.json"
    known = read(marker)
    gone = {*request["absent"], *known.get("paths", [])}
    gone -= {file["path"] for file in request["files"]}

    try:
        with staged(request["files"], state) as stage:
            run(request["validate"], stage=stage)
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
    _write_text(marker, json.dumps({"digest": None, "paths": paths}))
    try:
        run(request["prepare"])
        for file in request["files"]:
            place(file, root)
        for path in gone:
            _below(root, path).unlink(missing_ok=True)
        run(request["activate"])
        run(request["verify"])
    except (StepError, OSError, KeyError) as error:
        _restore(touched, keep, root)
        with contextlib.suppress(StepError):
            run(request["activate"], recovering=True)
            # The previous set is applied to its end again.
            _write_text(marker, json.dumps(known))
        raise StepError(f"{error}\nThe previous files are back.") from error
    paths = [file["path"] for file in request["files"]]
    if paths:
        _write_text(marker, json.dumps({"digest": request["digest"], "paths": paths}))
    else:
        # A set without files is one that has been removed.
        marker.unlink()


def run(commands: list[list[str]], stage: Path | None = None, recovering: bool = False) -> None:
    """Run commands one after the other. Raises StepError at the first that fails.

    They see RECOVERING in their environment when they bring the previous files into effect.
    """
    environment = {**os.environ, "RECOVERING": "yes"} if recovering else None
    for command in commands:
        words = [word.replace("{stage}", str(stage)) if stage else word for word in command]
        # A script is known by the name that it is given, not by its text.
        script = command[:2] in (["sh", "-c"], ["python3", "-c"]) and len(command) > 3
        name = command[3] if script else " ".join(command).replace("{stage}", "")
        try:
            done = subprocess.run(
                words,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise StepError(f"{name} can't be run: {error.strerror}") from error
        if done.returncode:
            # The staged path would only puzzle whoever looks for the file it names.
            output = done.stdout.strip().replace(str(stage), "") if stage else done.stdout.strip()
            raise StepError(f"{name} failed\n{output}")


@contextlib.contextmanager
def staged(files: list[dict[str, Any]], state: Path) -> Iterator[Path]:
    """Write the files below a fresh folder that only root can look into, and remove it after."""
    stage = Path(tempfile.mkdtemp(prefix="stage-", dir=state))
    try:
        for file in files:
            target = _below(stage, file["path"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(base64.b64decode(file["content"]))
        yield stage
    finally:
        shutil.rmtree(stage)


def place(file: dict[str, Any], root: Path) -> None:
    """Put one file in place: owner and mode first, then its content, then its name."""
    target = _below(root, file["path"])
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as handle:
            os.fchown(
                descriptor,
                pwd.getpwnam(file["owner"]).pw_uid,
                grp.getgrnam(file["group"]).gr_gid,
            )
            os.fchmod(descriptor, file["mode"])
            handle.write(base64.b64decode(file["content"]))
            handle.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _keep(paths: list[str], keep: Path, root: Path, kept: list[str] | None) -> None:
    """Copy the files as they are now, so that they can be put back and looked at later.

    kept: paths that an interrupted run has copied already, or None for a fresh start.
    """
    if kept is None:
        shutil.rmtree(keep, ignore_errors=True)
    keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in paths:
        source, copy = _below(root, path), _below(keep, path)
        if path not in (kept or ()) and (source.is_file() or source.is_symlink()):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy_file(source, copy)


def _paths(state: Path) -> set[str]:
    """Return the paths of all sets."""
    return {
        path for each in (state / "sets").glob("*.json") for path in read(each).get("paths", ())
    }


def _keep_for_ever(paths: list[str], ours: set[str], before: Path, root: Path) -> None:
    """Copy what no set of ours has written, the first time that one replaces it."""
    for path in paths:
        source, copy = _below(root, path), _below(before, path)
        if path in ours or copy.exists() or not (source.is_file() or source.is_symlink()):
            continue
        before.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy_file(source, copy)


def _restore(paths: list[str], keep: Path, root: Path) -> None:
    for path in paths:
        copy, target = _below(keep, path), _below(root, path)
        if not (copy.exists() or copy.is_symlink()):
            target.unlink(missing_ok=True)
            continue
        copy_file(copy, target)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file or a link, owner and mode before content, under its name only when complete."""
    temporary = target.with_name(f".{target.name}.copy")
    temporary.unlink(missing_ok=True)
    status = source.lstat()
    if source.is_symlink():
        temporary.symlink_to(os.readlink(source))
    else:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as handle:
            os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, status.st_mode & 0o7777)
            handle.write(source.read_bytes())
    os.replace(temporary, target)


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def read(marker: Path) -> dict[str, Any]:
    """Return what a marker says; nothing if it is not there, or has another shape."""
    try:
        found: dict[str, Any] = json.loads(marker.read_text())
        digest, paths = found["digest"], found["paths"]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    good = isinstance(digest, str | None) and isinstance(paths, list)
    return found if good and all(isinstance(path, str) for path in paths) else {}


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    os.replace(temporary, path)
