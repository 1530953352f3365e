"""Layers: archives with the same bytes for the same files, wherever and whenever they are made."""

from __future__ import annotations

import gzip
import hashlib
import io
import posixpath
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Entry:
    """A file, a folder or a link of a layer."""

    path: str
    """Relative to the image's root, without a / at either end."""
    mode: int = 0o644
    data: bytes | None = None
    """The content of a file; None for a folder, and for a link."""
    link: str | None = None
    """What a symbolic link points to."""
    owner: int = 0
    """Its user and its group, as numbers."""


@dataclass(frozen=True)
class Layer:
    """A layer of an image, as it is before it is compressed."""

    tar: bytes

    @cached_property
    def diff_id(self) -> str:
        """The digest by which an image's configuration knows it."""
        return digest(self.tar)

    @cached_property
    def blob(self) -> bytes:
        """The layer as it is stored and sent: gzip, without a name and a time."""
        return gzip.compress(self.tar, compresslevel=6, mtime=0)


def digest(data: bytes) -> str:
    """Return the digest of a blob: `sha256:…`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(entries: Iterable[Entry]) -> Layer:
    """Return a layer with these entries and the folders that they are in.

    Folders that are not among the entries are root's, and everyone's to read.
    """
    found = {entry.path: entry for entry in entries}
    for path in [*found]:
        while path := posixpath.dirname(path):
            found.setdefault(path, Entry(path, 0o755))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for _, entry in sorted(found.items()):
            tar.addfile(_member(entry), io.BytesIO(entry.data or b""))
    return Layer(packed.getvalue())


def _member(entry: Entry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(entry.path)
    member.uid = member.gid = entry.owner
    member.mode, member.mtime = entry.mode, 0
    if entry.link is not None:
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry.link, 0o777
    elif entry.data is None:
        member.type = tarfile.DIRTYPE
    else:
        member.size = len(entry.data)
    return member


def entries(archive: bytes, folder: str) -> Iterable[Entry]:
    """Yield what is in a compressed release, as it is below a folder of the image."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            path = posixpath.normpath(f"{folder}/{member.name}")
            if member.issym():
                yield Entry(path, link=member.linkname)
            elif member.isdir():
                yield Entry(path, 0o755)
            else:
                file = tar.extractfile(member)
                assert file is not None, member.name
                yield Entry(path, 0o755 if member.mode & 0o100 else 0o644, file.read())
