"""Images for the sandbox's cluster, of Debian's packages and without a shell."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

from wsdeploy.cluster.pods import USER
from wsdeploy.image import base as bases
from wsdeploy.image import build, contents
from wsdeploy.release.build import archive
from wsdeploy.settings import Settings
from wsdeploy.settings.cluster import Kubernetes
from wsdeploy_sandbox import base, lifecycle, state
from wsdeploy_sandbox.command import run

PYTHON = (
    "python3-minimal",
    "libpython3-stdlib",
    "ca-certificates",
    "tzdata",
    "netbase",
    "base-files",
    "media-types",
)
"""What the guide of clusters builds a base from."""
HAPROXY = ("haproxy", "base-files", "netbase")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
SUITE = "trixie"


def rootfs(packages: tuple[str, ...]) -> Path:
    """Return a root file system of Debian's packages, after making it if there is none yet.

    Raises SandboxError if that fails.
    """
    sources = base.recipe(SUITE).sources
    text = json.dumps([SUITE, packages, LEFT_OUT, sources])
    path = base.cache() / f"rootfs-{hashlib.sha256(text.encode()).hexdigest()[:12]}.tar"
    if path.is_file():
        return path
    with state.lock():
        if path.is_file():
            return path
        print(f"making a root file system of {' '.join(packages)} (once)", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        making = path.with_name(f"{path.name}.building")
        command = ["env", "SOURCE_DATE_EPOCH=1", "mmdebstrap", "--mode=root", "--variant=extract"]
        command += [f"--include={','.join(packages)}", "--format=tar"]
        command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
        command += [f"--aptopt={option}" for option in lifecycle.apt_options()]
        run(*command, SUITE, str(making), *sources)
        making.rename(path)
    return path


def haproxy(repository: str) -> build.BuiltImage:
    """Return an image of Debian's HAProxy, after building it if there is none yet.

    It is as Docker's own: a numeric user, and a signal to end by that lets clients stay. Raises
    SandboxError if its root file system can't be made.
    """
    packages = rootfs(HAPROXY)
    folder = packages.with_suffix(".image")
    if not folder.is_dir():
        layers = bases.of_rootfs(packages, "/usr/sbin/haproxy")
        config = {
            "User": f"{USER}:{USER}",
            "Env": ["PATH=/usr/sbin:/usr/bin"],
            "Entrypoint": ["haproxy"],
            "StopSignal": "SIGUSR1",
        }
        built = build.compose("haproxy", layers, config, {})
        making = folder.with_name(f"{folder.name}.building")
        shutil.rmtree(making, ignore_errors=True)
        build.write(built, making)
        making.rename(folder)
    return _read(folder, repository)


def _read(folder: Path, repository: str) -> build.BuiltImage:
    """Return an image from a folder in OCI's layout, under a name of its own."""
    listed = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
    blobs = {
        f"sha256:{path.name}": path.read_bytes() for path in (folder / "blobs/sha256").iterdir()
    }
    manifest = blobs.pop(listed)
    return build.BuiltImage(f"{repository}:{listed[7:19]}", manifest, blobs)


def app(settings: Settings, kubernetes: Kubernetes) -> build.BuiltImage:
    """Return the image of a service's release, as `wsdeploy image` builds it."""
    target = contents.target(settings, kubernetes)
    below = bases.of_rootfs(Path(kubernetes.image.rootfs or ""), kubernetes.image.interpreter)
    return build.build(target, archive(contents.release(settings, kubernetes.image)), below)
