"""A Containerfile, for whoever builds images elsewhere, and the folder that it is built from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from wsdeploy.cluster import environment
from wsdeploy.cluster.pods import USER
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.image import build
from wsdeploy.image.layer import Entry

RELEASE = "release"
"""The folder beside it that the release is in."""


def text(target: ClusterTarget) -> str:
    """Return the Containerfile of an image whose base has a name."""
    variables = build.variables(target).items()
    data = target.data.lstrip("/")
    lines = [
        f"# {target.image}",
        f"FROM {target.kubernetes.image.base}",
        *(f"LABEL {name}={json.dumps(value)}" for name, value in build.labels(target).items()),
        *(f"ENV {name}={json.dumps(value)}" for name, value in sorted(variables)),
        f"COPY --chown=0:0 {RELEASE}/ /",
        # Nothing is run, as the base may have no shell.
        f"COPY --chown={USER}:{USER} data/ /{data}/",
        f"WORKDIR {target.data}",
        f"USER {USER}:{USER}",
        f"EXPOSE {target.settings.app.port}",
        "STOPSIGNAL SIGTERM",
        f"ENTRYPOINT {json.dumps(environment.entrypoint(target))}",
    ]
    return "\n".join(lines) + "\n"


def write(target: ClusterTarget, entries: Iterable[Entry], folder: Path) -> None:
    """Write the Containerfile and all that it copies. Raises OSError.

    entries: what the image has beside its base.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Containerfile").write_text(text(target))
    (folder / "data").mkdir(exist_ok=True)
    for entry in entries:
        path = folder / RELEASE / entry.path
        _make(path.parent)
        if entry.link is not None:
            path.symlink_to(entry.link)
        elif entry.data is None:
            _make(path)
        else:
            path.write_bytes(entry.data)
            path.chmod(entry.mode)


def _make(folder: Path) -> None:
    """Make a folder that pods can enter: COPY keeps modes, which the umask has a part in."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)
