"""Locks: exactly which packages an app runs with, each with the hashes of its files."""

from __future__ import annotations

from pathlib import Path

from wsdeploy.release import project, uv

COMPILE = "uv pip compile --universal --generate-hashes"

# Options of a requirements file that stand for other files, which a release does not have.
ELSEWHERE = ("-r", "--requirement", "-c", "--constraint", "-e", "--editable")


class LockError(Exception):
    """A lock can't be used; the message says why and what would do."""


# Locks that are not read; each can be written as a requirements.txt.
UNREAD = ("poetry.lock", "Pipfile.lock", "pylock.toml", "pdm.lock", "conda-lock.yml")


PROJECT_LOCKS = ("uv.lock", "requirements.txt")
"""Locks of a project, the one that is taken first at the front."""


def unread(folder: Path) -> str | None:
    """Return the name of a lock in a folder that is none of those that are read, or None."""
    return next((name for name in UNREAD if (folder / name).is_file()), None)


def find(folder: Path, described: project.Project | None) -> Path | None:
    """Return the lock in an app's folder: uv.lock, if it is a project, or requirements.txt.

    The projects of a uv workspace have one uv.lock together.
    """
    names = PROJECT_LOCKS if described else ("requirements.txt",)
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None and described and (shared := project.workspace(folder)):
        found = shared / "uv.lock"
    return found


def ambiguous(home: Path, described: project.Project | None) -> bool:
    """Tell whether an app's folder has two locks, either of which may be the app's."""
    return described is not None and all((home / name).is_file() for name in PROJECT_LOCKS)


def read(lock: Path, home: Path) -> str:
    """Return the requirements that a lock has, each with a version and hashes.

    home: the app's folder; of a lock that several projects share, its own part is read.
    Raises LockError.
    """
    if not lock.is_file():
        raise LockError(f"no such file in {Path.cwd()}; give one that exists")
    try:
        text = (
            _exported(lock, home)
            if lock.name == "uv.lock"
            else lock.read_text(encoding="utf-8-sig")
        )
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
    if requirement.startswith(("-e", ".")):
        return (
            f"{requirement!r} is another project of this one, which a release does not have; put "
            "its wheel on an index and depend on that, or its code into the app"
        )
    if lock.name == "uv.lock":
        return f"{requirement!r} has no hash; depend on a release of it that is on an index"
    return f"{requirement!r} has no hash; lock it with {COMPILE}"


def _exported(lock: Path, home: Path) -> str:
    member = home.resolve().is_relative_to(lock.parent.resolve()) and project.read(home)
    folder = str(home if member else lock.parent)
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
