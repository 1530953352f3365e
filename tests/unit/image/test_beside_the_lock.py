"""The lock of a service is renewed while its image is built, however long that takes."""

import io
import tarfile
import threading
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
import pytest

from wsdeploy import App, CertFiles, Image, Ingress, Kubernetes, Settings
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.deploy.cluster import image as images
from wsdeploy.image import build, contents
from wsdeploy.release import build as release_build

MOST = 30
"""Seconds after which nobody has renewed it."""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterTarget:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("app.py").write_text("print('one')\n")
    with tarfile.open("base.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("usr/bin/python3"), io.BytesIO())
    settings = Settings("ws.a-company.com", App("app.py"), CertFiles("cert.pem", "key.pem"))
    image = Image("chat", rootfs="base.tar", registry=None)
    return contents.target(settings, Kubernetes("chat", image, Ingress()))


def test_others_have_their_turn_while_an_image_is_compressed(
    target: ClusterTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed, had_turn, compress = threading.Event(), [], build.build

    def slow(*arguments: Any) -> build.BuiltImage:
        had_turn.append(renewed.wait(MOST))
        return compress(*arguments)

    monkeypatch.setattr(build, "build", slow)
    renewal = gevent.spawn(renewed.set)
    images.write(target, tmp_path / "image.tar")
    renewal.join()
    assert had_turn == [True]
    with tarfile.open(tmp_path / "image.tar") as tar:
        assert tar.getmember("./index.json")


def test_programs_are_started_where_gevent_waits_for_them(
    target: ClusterTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, archive = set(), release_build.archive

    def packed(*arguments: Any) -> bytes:
        # It may run uv and git.
        threads.add(threading.current_thread())
        return archive(*arguments)

    monkeypatch.setattr("wsdeploy.deploy.cluster.image.archive", packed)
    images.write(target, tmp_path / "image.tar")
    assert threads == {threading.main_thread()}
