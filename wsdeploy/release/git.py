"""What git takes for part of a folder, so that a release has what a clone of it would have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


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
    # Hooks set variables that make git look at another work tree.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ("git", "ls-files", "-z", "--cached", "--others", "--deduplicate")
    try:
        done = subprocess.run(
            (*command, "--exclude-per-directory=.gitignore"),
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise GitError("git is not installed") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines() or ["git failed"]
        raise GitError(lines[0].removeprefix("fatal: "))
    return [os.fsdecode(path).rstrip("/") for path in done.stdout.split(b"\0") if path]
