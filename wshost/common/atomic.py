"""Files and links that appear under their names whole, or not at all."""

from __future__ import annotations

import base64
import grp
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wshost.requests import File


def write(
    path: Path, content: str | bytes, mode: int = 0o600, owners: tuple[int, int] | None = None
) -> None:
    """Write a file: owners and mode first, then its content, then its name.

    owners: numbers of its user and group, this process's own unless told.
    """
    data = content.encode() if isinstance(content, str) else content
    new = path.with_name(f".{path.name}.new")
    # Of a program that was killed.
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb") as file:
            if owners is not None:
                os.fchown(descriptor, *owners)
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def place(file: File, root: Path = Path("/")) -> None:
    """Put a file of a request in place. Raises KeyError if its owner or group does not exist."""
    target = below(root, file["path"])
    target.parent.mkdir(parents=True, exist_ok=True)
    write(
        target,
        base64.b64decode(file["content"]),
        file["mode"],
        owners(file["owner"], file["group"]),
    )


def owners(user: str, group: str) -> tuple[int, int]:
    """Return the numbers of a user and a group. Raises KeyError if there is no such one."""
    return pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid


def copy(source: Path, target: Path) -> None:
    """Copy a file, with its owners and mode, or a link."""
    if source.is_symlink():
        link(target, os.readlink(source))
        return
    status = source.lstat()
    owners = status.st_uid, status.st_gid
    write(target, source.read_bytes(), status.st_mode & 0o7777, owners)


def link(path: Path, target: str) -> None:
    """Point a link to `target`: there is no moment without it."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, path)


def below(root: Path, path: str) -> Path:
    """Return an absolute path as it is below another root."""
    return root / path.lstrip("/")
