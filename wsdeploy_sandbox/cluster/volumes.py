"""The volumes of a pod as folders of its node: emptyDir, Secret, ConfigMap."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from wsdeploy_sandbox.cluster.store import Object, Store

DATA = "..data"
"""The link by which new content comes into view at once."""


class Missing(Exception):  # noqa: N818 - what it says is the thing
    """An object that a pod names is not there; the message says which."""


def contents(store: Store, kind: str, namespace: str, name: str) -> dict[str, bytes]:
    """Return the values of a ConfigMap or a Secret. Raises Missing."""
    found = store.get(kind, namespace, name)
    if found is None:
        raise Missing(f'{kind.lower()} "{name}" not found')
    if kind == "Secret":
        return {key: base64.b64decode(text) for key, text in found.get("data", {}).items()}
    return {key: text.encode() for key, text in found.get("data", {}).items()}


class Volumes:
    """A pod's volumes, below one folder."""

    def __init__(self, store: Store, pod: Object, folder: Path) -> None:
        self._store, self._namespace = store, pod["metadata"]["namespace"]
        self._volumes: list[Object] = pod["spec"].get("volumes", [])
        self._group: int | None = pod["spec"].get("securityContext", {}).get("fsGroup")
        self._folder = folder
        self._written: dict[str, Any] = {}

    def path(self, name: str) -> Path:
        """Return the folder of a volume."""
        return self._folder / name

    def refresh(self) -> None:
        """Make what is not there yet, and write what has changed since. Raises Missing."""
        for volume in self._volumes:
            name = volume["name"]
            if "emptyDir" in volume:
                self._empty(self.path(name), volume["emptyDir"] or {})
            elif "secret" in volume:
                given = volume["secret"]
                self._fill(name, "Secret", given["secretName"], given)
            elif "configMap" in volume:
                given = volume["configMap"]
                self._fill(name, "ConfigMap", given["name"], given)
            else:
                raise Missing(f"volume {name} is of a kind that the stand-in has not")

    def remove(self) -> None:
        """Delete all volumes."""
        for volume in self._volumes:
            if (volume.get("emptyDir") or {}).get("medium") == "Memory":
                subprocess.run(["umount", str(self.path(volume["name"]))], check=False)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder)

    def _empty(self, path: Path, given: Object) -> None:
        if path.exists():
            return
        path.mkdir(parents=True)
        if given.get("medium") == "Memory":
            size = given.get("sizeLimit", "64Mi").removesuffix("i").lower()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
            subprocess.run(mount, check=True)
        os.chown(path, 0, self._group or 0)
        path.chmod(0o777 if self._group is None else 0o2777)

    def _fill(self, name: str, kind: str, source: str, given: Object) -> None:
        if given.get("optional") and self._store.get(kind, self._namespace, source) is None:
            self.path(name).mkdir(parents=True, exist_ok=True)
            return
        values = contents(self._store, kind, self._namespace, source)
        default = given.get("defaultMode", 0o644)
        files = {key: (value, default) for key, value in values.items()}
        if "items" in given:
            try:
                files = {
                    each["path"]: (values[each["key"]], each.get("mode", default))
                    for each in given["items"]
                }
            except KeyError as error:
                raise Missing(f"references non-existent key: {error.args[0]}") from None
        if self._written.get(name) != files:
            self._swap(self.path(name), files)
            self._written[name] = files

    def _swap(self, folder: Path, files: dict[str, tuple[bytes, int]]) -> None:
        """Write files beside those that are there, and let a link lead to the new ones."""
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f"..{time.time_ns()}"
        new.mkdir()
        for name, (data, mode) in files.items():
            path = new / name
            path.write_bytes(data)
            # With a group of the pod's own, it may read all that is root's.
            path.chmod(mode if self._group is None else mode | 0o440)
            os.chown(path, 0, self._group or 0)
            link = folder / name
            if not link.is_symlink():
                link.symlink_to(f"{DATA}/{name}")
        for path in (folder, new):
            os.chown(path, 0, self._group or 0)
            path.chmod(0o755 if self._group is None else 0o2775)
        shown = folder / DATA
        before = shown.resolve() if shown.is_symlink() else None
        aside = folder / f"{DATA}_tmp"
        aside.symlink_to(new.name)
        aside.replace(shown)
        if before is not None:
            shutil.rmtree(before)
