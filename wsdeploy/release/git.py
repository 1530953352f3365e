"""What git takes for part of a folder, so that a release has what a clone of it would have."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from wshost.requests import Commit

SUBJECT_MOST = 200
"""Characters of a commit's subject that are kept."""
GIT_MOST = 10
"""Seconds for git to answer."""


class GitError(Exception):
    """A folder is in a git work tree and git can't list it; the message says why."""


def in_work_tree(folder: Path) -> bool:
    """Tell whether a folder is in a git work tree, whether git is installed or not."""
    resolved = folder.resolve()
    return any((parent / ".git").exists() for parent in (resolved, *resolved.parents))


def listed(folder: Path) -> list[str]:
    """Return the paths below `folder` that git tracks, or would if told to add everything.

    Only .gitignore files count. What else git may ignore (its own settings for a user or a clone)
    would make the same files another release on another machine. Repositories inside are single
    paths. Raises GitError.
    """
    command = ("git", "ls-files", "-z", "--cached", "--others", "--deduplicate")
    try:
        done = subprocess.run(
            (*command, "--exclude-per-directory=.gitignore"),
            cwd=folder,
            env=_environment(),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise GitError("git is not installed") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines() or ["git failed"]
        raise GitError(lines[0].removeprefix("fatal: "))
    return [os.fsdecode(path).rstrip("/") for path in done.stdout.split(b"\0") if path]


def ignored(folder: Path, paths: Sequence[str]) -> list[str]:
    """Return those of some paths in a folder that git leaves out, as its files there say.

    None if the folder is in no git, or git can't tell. A path that is tracked is not left out.
    """
    command = ("git", "check-ignore", "-z", "--stdin")
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(),
            input=b"\0".join(map(os.fsencode, paths)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=GIT_MOST,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [os.fsdecode(path) for path in done.stdout.split(b"\0") if path]


def commit(path: Path) -> Commit | None:
    """Return the commit that an app, a file or a folder, is at; None if that is in no git.

    What git can't tell is not known either: this is for people to read, and stops no run.
    """
    folder, below = (path, ".") if path.is_dir() else (path.parent, path.name)
    try:
        head = _output(folder, "log", "--max-count=1", "--no-show-signature", "--format=%h%n%s")
        changes = _output(folder, "status", "--porcelain", "--", below)
    except (OSError, subprocess.SubprocessError):
        return None
    short, _, subject = head.rstrip("\n").partition("\n")
    return {"id": short, "subject": subject[:SUBJECT_MOST], "changed": bool(changes.strip())}


def _output(folder: Path, *arguments: str) -> str:
    """Return what git prints. Raises OSError or subprocess.SubprocessError."""
    return subprocess.run(
        ("git", *arguments),
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
        check=True,
        timeout=GIT_MOST,
    ).stdout


def _environment() -> dict[str, str]:
    # Hooks set variables that make git look at another work tree.
    return {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
