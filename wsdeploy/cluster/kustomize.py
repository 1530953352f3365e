"""The folder that kubectl, Argo CD and Flux apply: a file for each object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from wsdeploy.cluster import manifest
from wsdeploy.cluster.manifest import Object

MADE = "# Made by wsdeploy render"
HEAD = f"{MADE} from {{source}}; changes made here are lost.\n"


class FolderError(Exception):
    """A folder can't be written to; the message says why."""


def files(objects: Iterable[Object], source: str) -> dict[str, str]:
    """Return the folder's files by their names. source: the inventory, as its readers know it."""
    head = HEAD.format(source=source)
    found = {file_name(each): head + manifest.text(each) for each in objects}
    folder: Object = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [*found],
    }
    return {"kustomization.yaml": head + manifest.text(folder)} | found


def file_name(each: Object) -> str:
    """Return the file of an object: its kind and name, without the digest of what is in it.

    >>> file_name({"kind": "ConfigMap", "metadata": {"name": "ws-0123456789"}, "immutable": True})
    'configmap-ws.yaml'
    """
    name = each["metadata"]["name"]
    if each.get("immutable"):
        name = re.sub(r"-[0-9a-f]{10}$", "", name)
    return f"{each['kind'].lower()}-{name}.yaml"


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write a folder, or one that was written before anew.

    Raises FolderError if there is something in it that was not, and OSError.
    """
    there = [*folder.iterdir()] if folder.is_dir() else []
    for path in there:
        if not (path.suffix == ".yaml" and path.is_file() and _is_made(path)):
            raise FolderError(
                f"{folder} has something else in it, {path.name}; give a new folder, an empty one, "
                "or one that wsdeploy render has written"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path in there:
        if path.name not in files:
            path.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _is_made(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(MADE)) == MADE.encode()
