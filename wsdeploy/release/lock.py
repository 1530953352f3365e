"""Locks: exactly which packages an app runs with, each with the hashes of its files."""

from __future__ import annotations

from pathlib import Path

from wsdeploy.release import uv
from wsdeploy.release.project import Project

COMPILE = "uv pip compile --universal --generate-hashes"

# Options of a requirements file that stand for other files, which a release does not have.
ELSEWHERE = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable")


class LockError(Exception):
    """A lock can't be used; the message says why and what would do."""


# Locks that are not read; each can be written as a requirements.txt.
UNREAD = ("poetry.lock", "Pipfile.lock", "pylock.toml", "pdm.lock", "conda-lock.yml")


def unread(folder: Path) -> str | None:
    """Return the name of a lock in a folder that is none of those that are read, or None."""
    return next((name for name in UNREAD if (folder / name).is_file()), None)


def find(folder: Path, described: Project | None) -> Path | None:
    """Return the lock in an app's folder: uv.lock, if it is a project, or requirements.txt."""
    names = ("uv.lock", "requirements.txt") if described else ("requirements.txt",)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read(lock: Path) -> str:
    """Return the requirements that a lock has, each with a version and hashes. Raises LockError."""
    if not lock.is_file():
        raise LockError(f"no such file in {Path.cwd()}; give one that exists")
    try:
        text = _exported(lock) if lock.name == "uv.lock" else lock.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise LockError("it can't be read; give a text file") from None
    for line in text.replace("\\\n", " ").splitlines():
        requirement = line.split(" #")[0].strip()
        if requirement.startswith("#") or not requirement:
            continue
        shown = requirement.split(" ;")[0].split(";")[0].strip()
        if lock.name != "uv.lock" and requirement.startswith(ELSEWHERE):
            raise LockError(f"{shown!r} is another file; lock both as one with {COMPILE}")
        if "--hash=" not in requirement and not _is_option(requirement):
            raise LockError(_no_hash(lock, shown))
    return text


def _is_option(requirement: str) -> bool:
    return requirement.startswith("-") and not requirement.startswith(ELSEWHERE)


def _no_hash(lock: Path, requirement: str) -> str:
    if lock.name == "uv.lock":
        return f"{requirement!r} has no hash; depend on a release of it that is on an index"
    return f"{requirement!r} has no hash; lock it with {COMPILE}"


def _exported(lock: Path) -> str:
    folder = str(lock.parent)
    done = uv.run(
        "export", "--project", folder, "--frozen", "--no-default-groups", "--no-emit-project",
        "--format", "requirements-txt", "--no-header", "--no-annotate",
    )  # fmt: skip
    if done.returncode:
        raise LockError(f"uv can't export it: {uv.complaint(done.stderr)}")
    # Without the network this takes milliseconds. A change that uv can't resolve from its cache is
    # a change all the same; whatever else it can't do offline proves nothing.
    checked = uv.run("lock", "--project", folder, "--check", "--offline")
    stale = ("needs to be updated", "your project depends on", "your project's requirements")
    if checked.returncode and any(said in checked.stderr for said in stale):
        raise LockError(f"pyproject.toml has changed since; run uv lock --project {folder}")
    return done.stdout
