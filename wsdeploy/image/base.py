"""What an image is built on: a root file system of Debian's packages, or another image."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsdeploy.cluster.pods import USER
from wsdeploy.image.layer import Entry, Layer, digest, layer

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Processors as images name them."""
CERTIFICATES = "usr/share/ca-certificates/mozilla/"
"""Where Debian's package has the certificates of authorities, each in a file of its own."""
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
"""Where programs look for all of them."""
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


class ImageError(Exception):
    """An image can't be built; the message says why and what would do."""


@dataclass(frozen=True)
class Blob:
    """A layer as a manifest names it."""

    media_type: str
    data: bytes


@dataclass(frozen=True)
class Base:
    """What is below a release in an image."""

    blobs: tuple[Blob, ...]
    diff_ids: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    """What the base says of how it is run."""


def of_rootfs(path: Path, interpreter: str) -> Base:
    """Return a root file system as a base. Raises ImageError if it has no Python.

    It is taken as it is. What maintainer scripts would have done, and an app needs, is in a second
    layer: users' names, a folder for temporary files, the authorities' certificates.
    """
    data = path.read_bytes()
    try:
        own = _second_layer(path, interpreter)
    except tarfile.TarError as error:
        raise ImageError(f"{path} is no whole tar archive ({error}); make it anew") from None
    layers = (Layer(data), own)
    return Base(
        tuple(Blob(GZIP, each.blob) for each in layers), tuple(each.diff_id for each in layers)
    )


def _second_layer(path: Path, interpreter: str) -> Layer:
    with tarfile.open(path, "r:") as tar:
        names = {member.name.removeprefix("./").rstrip("/") for member in tar}
        if interpreter.lstrip("/") not in names:
            wanted = "make it with python3-minimal and libpython3-stdlib"
            raise ImageError(f"{path} has no {interpreter}; {wanted}")
        return layer(_missing(tar, names))


def _missing(tar: tarfile.TarFile, names: set[str]) -> Iterator[Entry]:
    """Yield what a root file system without maintainer scripts lacks."""
    if "etc/passwd" not in names:
        users = f"root:x:0:0:root:/root:/sbin/nologin\napp:x:{USER}:{USER}:app:/tmp:/sbin/nologin\n"
        yield Entry("etc/passwd", data=users.encode())
        yield Entry("etc/group", data=f"root:x:0:\napp:x:{USER}:\n".encode())
    if "tmp" not in names:
        yield Entry("tmp", 0o1777)
    if BUNDLE not in names:
        found = {
            member.name: member
            for member in tar
            if member.isfile() and member.name.removeprefix("./").startswith(CERTIFICATES)
        }
        files = [tar.extractfile(member) for _, member in sorted(found.items())]
        yield Entry(BUNDLE, data=b"".join(file.read() for file in files if file))


def of_layout(folder: Path, wanted: str, architecture: str) -> Base:
    """Return an image from a folder in OCI's layout as a base. Raises ImageError.

    wanted: the digest of its manifest, or of an index that has one for this architecture.
    """
    manifest = json.loads(_blob(folder, wanted))
    if "manifests" in manifest:
        fitting = for_linux(manifest, ARCHITECTURES[architecture])
        if fitting is None:
            name = ARCHITECTURES[architecture]
            raise ImageError(f"{wanted} has no image for {name}; give another base")
        manifest = json.loads(_blob(folder, fitting))
    if "config" not in manifest or "layers" not in manifest:
        raise ImageError(f"{wanted} is no image that pods can run; give another base")
    config = json.loads(_blob(folder, manifest["config"]["digest"]))
    blobs = [
        Blob(_media_type(each["mediaType"]), _blob(folder, each["digest"]))
        for each in manifest["layers"]
    ]
    return Base(tuple(blobs), tuple(config["rootfs"]["diff_ids"]), config.get("config") or {})


def for_linux(index: Mapping[str, Any], architecture: str) -> str | None:
    """Return the digest of an index's image for Linux and an architecture, or None."""
    wanted = {"os": "linux", "architecture": architecture}
    for each in index.get("manifests") or ():
        if (each.get("platform") or {}).items() >= wanted.items():
            found: str = each["digest"]
            return found
    return None


def _media_type(given: str) -> str:
    """Return OCI's name of a layer's kind, for Docker's."""
    return GZIP if given == "application/vnd.docker.image.rootfs.diff.tar.gzip" else given


def _blob(folder: Path, wanted: str) -> bytes:
    path = folder / "blobs" / wanted.replace(":", "/")
    if not path.is_file():
        raise ImageError(
            f"{folder} lacks {wanted}; fetch the base with "
            f"skopeo copy --multi-arch all --preserve-digests docker://BASE oci:{folder}"
        )
    data = path.read_bytes()
    if digest(data) != wanted:
        raise ImageError(f"{path} is not what its name says; fetch the base anew")
    return data


def file_digest(path: Path) -> str:
    """Return the digest of a file: `sha256:…`."""
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
