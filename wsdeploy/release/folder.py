"""Read an app's folder: what a release takes of it, and what it leaves out."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from wsdeploy.release import git

# No process needs these, whatever git thinks of them. Environment files are left out because they
# hold secrets, which have a place of their own.
LEFT_OUT = (
    ".git", ".hg", ".svn",
    ".venv", "venv", "node_modules", "*.egg-info",
    "__pycache__", "*.py[co]", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox",
    # Secrets: of shells, tools, clouds and SSH.
    ".env", ".env.*", "*.env", "env.local", ".envrc", ".netrc", "_netrc", ".pypirc", ".pgpass",
    ".my.cnf", ".git-credentials", ".npmrc", ".aws", ".azure", ".gcloud", ".kube", ".docker",
    ".ssh", ".gnupg", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
    "*.key", "privkey*.pem", "*.p12", "*.pfx", "*.kdbx", ".vault_pass*",
    "secrets.toml", "secrets.yml", "secrets.yaml", "pip.conf", "pyinfra-debug.log",
    ".idea", ".vscode", "*~", ".*.sw[op]", ".#*", "#*#", ".DS_Store",
)  # fmt: skip

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that stands for one which git-lfs has not fetched."""
LARGEST = 300_000_000
"""Bytes of a release when it is unpacked. It travels in one piece, over SSH, to every host."""


class FolderError(Exception):
    """A folder can't be put in a release; the message says what is wrong and what would do."""


@dataclass(frozen=True)
class Tree:
    """The files of a folder, by their path in it, with `/` between names."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    executable: frozenset[str] = frozenset()
    """Those files that may be executed."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Symbolic links and what they point to, relative to where they are."""


# The password of an index, as it stands in locks: hosts need no index.
PASSWORD = re.compile(rb"(?<=://)[^/@\s\"']+@")
LOCKS = ("*requirements*.txt", "*.lock", "pyproject.toml", "uv.toml")


def read(folder: Path, exclude: Sequence[str] = ()) -> Tree:
    """Return what a release takes of a folder, without what `exclude` matches. Raises FolderError.

    In a git work tree that is what git tracks or would add; elsewhere it is everything. LEFT_OUT
    applies to both. Sockets, pipes and devices are left out too, and folders with nothing in them.
    """
    paths = sorted(path for path in _paths(folder) if not _excluded(path, exclude))
    if not paths:
        ignored = ", and git ignores the rest" if git.in_work_tree(folder) else ""
        raise FolderError(f"there is nothing in it that an app needs{ignored}")
    size = sum((folder / path).lstat().st_size for path in paths)
    if size > LARGEST:
        raise FolderError(
            f"it has {size / 1e6:,.0f} MB, and a release may have {LARGEST / 1e6:,.0f}; "
            "keep large files elsewhere, or out of it with a .gitignore"
        )
    files, links, executable = {}, {}, set()
    for path in paths:
        if (folder / path).is_symlink():
            links[path] = _link(folder, path)
            continue
        try:
            files[path] = _without_passwords(path, (folder / path).read_bytes())
        except OSError as error:
            raise FolderError(f"{path} can't be read: {error.strerror}") from None
        if files[path].startswith(LFS_POINTER):
            raise FolderError(f"{path} is only a pointer of git-lfs; fetch it with git lfs pull")
        if (folder / path).stat().st_mode & stat.S_IXUSR:
            executable.add(path)
    return Tree(files, frozenset(executable), links)


def _excluded(path: str, patterns: Sequence[str]) -> bool:
    """Tell whether a path, or a folder that it is in, is one that patterns name."""
    parts = path.split("/")
    parents = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    return any(fnmatchcase(each, pattern) for each in parents for pattern in patterns)


def _without_passwords(path: str, content: bytes) -> bytes:
    """Return a file as it travels: of a lock, without the passwords of indexes."""
    if any(fnmatchcase(_name(path), pattern) for pattern in LOCKS):
        return PASSWORD.sub(b"", content)
    return content


def is_left_out(name: str) -> bool:
    """Tell whether files and folders of this name never are part of a release."""
    return any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)


def _paths(folder: Path) -> Iterator[str]:
    """Yield the paths of the files and links in a folder that a release takes."""
    try:
        paths = git.listed(folder) if git.in_work_tree(folder) else list(_walk(folder))
    except git.GitError as error:
        raise FolderError(f"it is in a git work tree, and git can't list it: {error}") from None
    # A virtual environment is known by this file, under any name.
    environments = {path.rpartition("/")[0] + "/" for path in paths if _name(path) == "pyvenv.cfg"}
    for path in paths:
        if any(is_left_out(part) for part in path.split("/")) or path.startswith(
            tuple(environments)
        ):
            continue
        entry = folder / path
        if entry.is_dir() and not entry.is_symlink():
            # Another repository in this one: git does not look inside.
            yield from (f"{path}/{inner}" for inner in _paths(entry))
        elif entry.is_symlink() or entry.is_file():
            yield path


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_left_out(name)]
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in (*names, *links):
            yield os.path.relpath(os.path.join(parent, name), folder)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _link(folder: Path, path: str) -> str:
    """Return what a link points to, if it is the same thing on a host."""
    target = os.readlink(folder / path)
    inside = (folder / path).resolve().is_relative_to(folder.resolve())
    if os.path.isabs(target) or not inside:
        raise FolderError(
            f"{path} is a link to {target}, which a host doesn't have; "
            "link to something in the folder, by a relative path, or copy it there"
        )
    return target
