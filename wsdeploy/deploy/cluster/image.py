"""The image that pods run: in its registry before the cluster hears of it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gevent  # type: ignore[import-untyped]

from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.image import base as bases
from wsdeploy.image import build, contents
from wsdeploy.image.base import ARCHITECTURES, ImageError
from wsdeploy.plan.summary import readable
from wsdeploy.release.build import BuildError, archive

MOST = 900
"""Seconds that skopeo may take for an image."""
LOOK = 60
"""Seconds that it may take to look for one."""
ABSENT = re.compile(r"manifest unknown|name unknown|not found|404|repository .* not known", re.I)
DENIED = re.compile(r"unauthorized|authentication required|denied|forbidden|401|403", re.I)


class NoImageError(Exception):
    """The image can't be had; the message is a line that says what to do."""


class NoSkopeoError(NoImageError):
    """skopeo is not installed."""


@dataclass(frozen=True)
class Registry:
    """The registry of an image, as skopeo talks to it."""

    plain: bool
    """Whether it has no TLS."""

    def digest(self, image: str) -> str | None:
        """Return the digest of an image, or None if it is not there.

        Raises NoImageError, and NoSkopeoError.
        """
        done = self._run("inspect", "--raw", *self._tls("--tls-verify"), f"docker://{image}")
        if done.returncode == 0:
            return f"sha256:{hashlib.sha256(done.stdout).hexdigest()}"
        said = done.stderr.decode(errors="replace")
        if ABSENT.search(said):
            return None
        raise NoImageError(f"{image}: its registry can't be asked: {_why(said, image)}")

    def push(self, folder: Path, image: str) -> str:
        """Copy an image in OCI's layout to its registry, and return its digest there.

        Raises NoImageError.
        """
        with tempfile.NamedTemporaryFile("r") as file:
            done = self._run(
                "copy",
                f"--digestfile={file.name}",
                *self._tls("--dest-tls-verify"),
                f"oci:{folder}",
                f"docker://{image}",
                most=MOST,
            )
            if done.returncode:
                why = _why(done.stderr.decode(errors="replace"), image)
                raise NoImageError(f"{image}: it can't be pushed: {why}")
            return file.read().strip()

    def fetch(self, image: str, architecture: str, folder: Path) -> None:
        """Copy a base, named by its digest, to a folder in OCI's layout, for one architecture.

        Raises NoImageError.
        """
        raw = self._copied("inspect", "--raw", f"docker://{image}", image=image)
        repository, _, wanted = image.rpartition("@")
        fitting = bases.for_linux(json.loads(raw), ARCHITECTURES[architecture])
        one = f"{_without_tag(repository)}@{fitting or wanted}"
        words = ("copy", "--preserve-digests", f"docker://{one}", f"oci:{folder}:base")
        self._copied(*words, image=image)
        (folder / "blobs" / wanted.replace(":", "/")).write_bytes(raw)

    def _copied(self, *words: str, image: str) -> bytes:
        done = self._run(*words, most=MOST)
        if done.returncode:
            why = _why(done.stderr.decode(errors="replace"), image)
            raise NoImageError(f"{image}: the base can't be fetched: {why}")
        return done.stdout

    def _tls(self, option: str) -> list[str]:
        return [f"{option}=false"] if self.plain else []

    @staticmethod
    def _run(*words: str, most: float = LOOK) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                ["skopeo", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=most,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise NoSkopeoError("skopeo is not on this machine") from None
        except subprocess.TimeoutExpired:
            raise NoImageError(f"skopeo {words[0]} has not ended for {most:.0f} s") from None
        except OSError as error:
            raise NoImageError(f"skopeo can't be started: {error.strerror}") from None


def _why(said: str, image: str) -> str:
    """Return what skopeo has said in a line, and what to do if it is to log in first."""
    lines = [line for line in said.splitlines() if line.strip()] or ["skopeo did not say why"]
    match = re.search(r'msg="((?:[^"\\]|\\.)*)"', lines[-1])
    text = readable(" ".join((match[1].replace('\\"', '"') if match else lines[-1]).split()))
    login = f"; skopeo login {image.partition('/')[0]}" if DENIED.search(text) else ""
    return f"{text}{login}"


def _without_tag(repository: str) -> str:
    """Return an image's name without its tag, which may not stand beside a digest."""
    return re.sub(r":[\w.-]+$", "", repository)


def push(target: ClusterTarget, registry: Registry) -> str:
    """Build the image of a release, push it, and return its digest. Raises NoImageError."""
    with tempfile.TemporaryDirectory(prefix="wsdeploy-image-") as folder:
        place = Path(folder)
        _build(target, registry, place)
        return registry.push(place / "image", target.image)


def file_name(target: ClusterTarget) -> str:
    """Return the name of the file that an image is written to where there is no registry."""
    return f"{target.image.rpartition('/')[2].replace(':', '-')}.tar"


def write(target: ClusterTarget, path: Path) -> None:
    """Build the image of a release and write it as a file, for `ctr images import`.

    Raises NoImageError.
    """
    with tempfile.TemporaryDirectory(prefix="wsdeploy-image-") as folder:
        place = Path(folder)
        _build(target, Registry(plain=False), place)
        aside = path.with_name(f"{path.name}.new")

        try:
            _in_thread(partial(pack, place / "image", aside))
            aside.replace(path)
        except OSError as error:
            raise NoImageError(f"{path.name} can't be written: {error.strerror}") from None


def pack(folder: Path, path: Path) -> None:
    """Write a folder as a tar archive, the same for the same files. Raises OSError."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mode = 0o755 if member.isdir() else 0o644
        return member.replace(mtime=0, uid=0, gid=0, uname="", gname="", deep=False)

    with tarfile.open(path, "w") as tar:
        tar.add(folder, ".", filter=plain)


def _build(target: ClusterTarget, registry: Registry, place: Path) -> None:
    """Build the image of a release in the folder `image` of a place. Raises NoImageError."""
    image = target.kubernetes.image
    try:
        release = archive(contents.release(target.settings, image))
        if image.base is not None:
            (place / "base").mkdir()
            registry.fetch(image.base, image.architecture, place / "base")

        def compress() -> None:
            base = (
                bases.of_rootfs(Path(image.rootfs or ""), image.interpreter)
                if image.base is None
                else bases.of_layout(place / "base", target.base, image.architecture)
            )
            build.write(build.build(target, release, base), place / "image")

        _in_thread(compress)
    except (ImageError, BuildError, OSError) as error:
        raise NoImageError(f"the image can't be built: {error}") from None


def _in_thread(work: Callable[[], None]) -> None:
    """Do work that takes long beside gevent's loop, in which the lock is renewed meanwhile.

    It may start no programs: gevent waits for those in its own thread.
    """
    gevent.get_hub().threadpool.apply(work)
