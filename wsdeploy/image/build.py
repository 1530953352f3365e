"""Build the image of a release, and write it as a folder that tools and registries take.

The same release on the same base is the same image, to the byte: no time, no machine and no folder
is in it. Only zlib's version may change how layers are compressed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsdeploy.cluster import environment, startup
from wsdeploy.cluster.pods import USER
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.image.base import ARCHITECTURES, GZIP, Base, Blob
from wsdeploy.image.layer import Entry, digest, entries, layer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EPOCH = "1970-01-01T00:00:00Z"
"""When every image was made. What it was made from is in its labels."""

LAYOUT = {"blobs", "index.json", "oci-layout"}
"""What a folder in OCI's layout has."""
# skopeo and podman go by the first name, containerd by the second.
NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


@dataclass(frozen=True)
class BuiltImage:
    """An image: its manifest, and all that it names."""

    name: str
    """Repository and tag."""
    manifest: bytes
    blobs: Mapping[str, bytes]
    """Configuration and layers, by their digests."""

    @property
    def digest(self) -> str:
        """The digest that a registry knows it by."""
        return digest(self.manifest)


def build(target: ClusterTarget, archive: bytes, base: Base) -> BuiltImage:
    """Return the image of a release.

    archive: the release, as `wsdeploy.release.build.archive` returns it.
    """
    own = layer([*own_entries(target, archive), *_folders(target)])
    whole = Base((*base.blobs, Blob(GZIP, own.blob)), (*base.diff_ids, own.diff_id))
    architecture = target.kubernetes.image.architecture
    return compose(target.image, whole, _config(target, base), labels(target), architecture)


def own_entries(target: ClusterTarget, archive: bytes) -> Iterator[Entry]:
    """Yield what an image has beside its base: the release, and the program that probes it."""
    yield from entries(archive, target.folder.lstrip("/"))
    for path, text in startup.files().items():
        yield Entry(path.lstrip("/"), data=text.encode())


def compose(
    name: str,
    layers: Base,
    config: Mapping[str, Any],
    annotations: Mapping[str, str],
    architecture: str = "x86_64",
) -> BuiltImage:
    """Return an image of layers. config: how it is run, as OCI has it."""
    described = _json(
        {
            "created": EPOCH,
            "architecture": ARCHITECTURES[architecture],
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [*layers.diff_ids]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor(CONFIG, described),
        "layers": [_descriptor(each.media_type, each.data) for each in layers.blobs],
        "annotations": annotations,
    }
    blobs = {digest(each): each for each in (described, *(it.data for it in layers.blobs))}
    return BuiltImage(name, _json(manifest), blobs)


def labels(target: ClusterTarget) -> dict[str, str]:
    """Return what an image says of itself: the release and the base that it is made from."""
    found = {
        "org.opencontainers.image.title": target.name,
        "org.opencontainers.image.version": target.release,
        "org.opencontainers.image.base.digest": target.base,
    }
    if target.kubernetes.image.base is not None:
        found["org.opencontainers.image.base.name"] = target.kubernetes.image.base.partition("@")[0]
    return found


def variables(target: ClusterTarget) -> dict[str, str]:
    """Return the variables that the image has, so that it runs anywhere as it is."""
    return environment.fixed(target) | environment.listen(target)


def _config(target: ClusterTarget, base: Base) -> dict[str, Any]:
    own = variables(target)
    kept = [each for each in base.config.get("Env", []) if each.partition("=")[0] not in own]
    return {
        "User": f"{USER}:{USER}",
        "WorkingDir": target.data,
        "Env": [*kept, *(f"{name}={value}" for name, value in sorted(own.items()))],
        "Entrypoint": environment.entrypoint(target),
        "ExposedPorts": {f"{target.settings.app.port}/tcp": {}},
        "StopSignal": "SIGTERM",
        "Labels": labels(target),
    }


def _folders(target: ClusterTarget) -> list[Entry]:
    return [Entry(target.data.lstrip("/"), 0o750, owner=USER)]


def write(image: BuiltImage, folder: Path) -> None:
    """Write an image as a folder in OCI's layout. Raises OSError."""
    place = folder / "blobs" / "sha256"
    place.mkdir(parents=True, exist_ok=True)
    for name, data in {**image.blobs, image.digest: image.manifest}.items():
        (place / name.removeprefix("sha256:")).write_bytes(data)
    described = _descriptor(MANIFEST, image.manifest) | {
        "annotations": dict.fromkeys(NAMES, image.name)
    }
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]}
    (folder / "index.json").write_bytes(_json(index))
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def is_of(repository: str, folder: Path) -> bool:
    """Tell whether a folder has an image of a repository that `write` has written, and no more."""
    if not folder.is_dir() or {each.name for each in folder.iterdir()} != LAYOUT:
        return False
    try:
        (described,) = json.loads((folder / "index.json").read_bytes())["manifests"]
        names = {described["annotations"][name] for name in NAMES}
    except (KeyError, OSError, TypeError, ValueError):
        return False
    return {name.rpartition(":")[0] for name in names} == {repository}


def remove(folder: Path) -> None:
    """Remove an image that `write` has written from its folder. Raises OSError."""
    for name in LAYOUT - {"blobs"}:
        (folder / name).unlink()
    shutil.rmtree(folder / "blobs")


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
