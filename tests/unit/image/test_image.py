"""Images: the same bytes from the same release, with what an app needs and nothing else."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from wsdeploy.cli import main
from wsdeploy.deploy.cluster.image import pack
from wsdeploy.image import base, build
from wsdeploy.image.layer import Entry, digest, layer

INVENTORY = """
from wsdeploy import *

settings = Settings("ws.a-company.com", App("app.py"), Acme("ops@a-company.com"))
service = pods(
    settings,
    Kubernetes("chat", Image("registry.a-company.com/chat", BASE), Ingress(issuer="letsencrypt")),
)
"""
PYTHON = "usr/bin/python3"

Build = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["wsdeploy", "image", "chat.py"])
    return project(tmp_path)


def project(folder: Path, given: str = 'rootfs="base.tar"') -> Path:
    """A project with an app, and a base with little more than a file for Python."""
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text("print('one')\n")
    (folder / "chat.py").write_text(INVENTORY.replace("BASE", given))
    (folder / "base.tar").write_bytes(rootfs())
    return folder


def rootfs(*names: str) -> bytes:
    packed = io.BytesIO()
    certificates = [f"usr/share/ca-certificates/mozilla/{each}.crt" for each in "ba"]
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in (*(names or (PYTHON,)), *certificates):
            member = tarfile.TarInfo(f"./{name}")
            text = f"{name}\n".encode()
            member.size, member.mode = len(text), 0o755
            tar.addfile(member, io.BytesIO(text))
    return packed.getvalue()


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["image", "chat.py", *words], catch_exceptions=False)


def read(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Image:
    """An image in OCI's layout, every digest of which is right."""

    def __init__(self, folder: Path) -> None:
        assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        self.folder = folder
        (described,) = json.loads((folder / "index.json").read_text())["manifests"]
        self.digest, self.names = described["digest"], described["annotations"]
        self.manifest = json.loads(self.blob(described))
        self.config = json.loads(self.blob(self.manifest["config"]))
        self.layers = [gzip.decompress(self.blob(each)) for each in self.manifest["layers"]]
        ids = self.config["rootfs"]["diff_ids"]
        assert [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in self.layers] == ids

    def blob(self, described: dict[str, Any]) -> bytes:
        name = str(described["digest"]).removeprefix("sha256:")
        data = (self.folder / "blobs/sha256" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == name
        assert len(data) == described["size"]
        return data

    def members(self, number: int) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(self.layers[number])) as tar:
            return {member.name: member for member in tar}


def test_built_twice_from_two_folders_it_is_the_same_to_the_byte(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("--output", "out")
    assert first.exit_code == 0, first.output
    other = project(tmp_path / "another folder")
    # Neither the time nor who may read the app makes a difference.
    monkeypatch.setattr("time.time", lambda: 2e9)
    (other / "app.py").chmod(0o600)
    monkeypatch.chdir(other)
    monkeypatch.setenv("XDG_CACHE_HOME", str(other / "cache"))
    second = run("--output", "out")
    assert second.output == first.output
    assert read(other / "out") == read(folder / "out")


def test_what_is_printed_is_its_name_and_its_digest(folder: Path) -> None:
    name, _, said = run("--output", "out").output.strip().partition("@")
    image = Image(folder / "out")
    assert said == image.digest
    release = image.config["config"]["Labels"]["org.opencontainers.image.version"]
    below = image.config["config"]["Labels"]["org.opencontainers.image.base.digest"]
    assert below == digest((folder / "base.tar").read_bytes())
    assert re.fullmatch(
        rf"registry\.a-company\.com/chat:{release}-{below[7:19]}-[0-9a-f]{{6}}", name
    )
    assert {*image.names.values()} == {name}


def test_it_has_the_release_and_what_scripts_of_packages_would_have_made(folder: Path) -> None:
    run("--output", "out")
    image = Image(folder / "out")
    assert image.layers[0] == (folder / "base.tar").read_bytes()
    assert image.members(1).keys() == {
        "etc", "etc/group", "etc/passwd", "etc/ssl", "etc/ssl/certs", base.BUNDLE, "tmp",
    }  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(image.layers[1])) as tar:
        bundle = tar.extractfile(base.BUNDLE)
        assert bundle is not None
        assert bundle.read().decode().split() == [
            "usr/share/ca-certificates/mozilla/a.crt",
            "usr/share/ca-certificates/mozilla/b.crt",
        ]
    release = image.config["config"]["Labels"]["org.opencontainers.image.version"]
    members = image.members(2)
    place = f"srv/ws/releases/{release}"
    assert {f"{place}/app/app.py", f"{place}/lib/wsapp/server.py", "var/lib/ws"} < {*members}
    assert [*members] == sorted(members)
    for name, member in members.items():
        assert member.mtime == 0
        owner = 65532 if name == "var/lib/ws" else 0
        assert (member.uid, member.gid, member.uname, member.gname) == (owner, owner, "", "")
        assert not member.mode & 0o022, name


def test_it_runs_without_rights_and_without_a_shell(folder: Path) -> None:
    run("--output", "out")
    config = Image(folder / "out").config["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"][0] == "/usr/bin/python3"
    assert config["Entrypoint"][1].endswith("/app/app.py")
    assert config["StopSignal"] == "SIGTERM"
    values = dict(each.split("=", 1) for each in config["Env"])
    assert (values["WS_HOST"], values["WS_PORT"]) == ("0.0.0.0", "8000")
    assert config["Entrypoint"][1].startswith(values["WS_APP"])


def test_another_release_is_another_layer_only(folder: Path) -> None:
    run("--output", "out")
    (folder / "app.py").write_text("print('two')\n")
    run("--output", "new")
    before, after = Image(folder / "out"), Image(folder / "new")
    assert before.layers[:2] == after.layers[:2]
    assert before.layers[2] != after.layers[2]
    assert before.names != after.names


def as_layout(folder: Path) -> str:
    """An image that another may be built on, below an index; return that one's digest."""
    shutil.rmtree(folder, ignore_errors=True)
    tar = layer([Entry("usr/local/bin/python3", 0o755, b"python")])
    config = {
        "config": {"Env": ["PATH=/usr/local/bin", "LANG=C"]},
        "rootfs": {"type": "layers", "diff_ids": [tar.diff_id]},
    }
    encoded = json.dumps(config).encode()
    manifest = json.dumps(
        {
            "config": {"mediaType": build.CONFIG, "digest": digest(encoded), "size": len(encoded)},
            "layers": [
                {"mediaType": base.GZIP, "digest": digest(tar.blob), "size": len(tar.blob)},
            ],
        }
    ).encode()
    index = json.dumps(
        {
            "manifests": [
                {
                    "digest": digest(manifest),
                    "platform": {"os": "linux", "architecture": "amd64"},
                }
            ]
        }
    ).encode()
    place = folder / "blobs/sha256"
    place.mkdir(parents=True)
    for data in (tar.blob, encoded, manifest, index):
        (place / digest(data)[7:]).write_bytes(data)
    return digest(index)


def test_another_image_can_be_its_base(folder: Path) -> None:
    wanted = as_layout(folder / "base")
    project(folder, f'base="python@{wanted}", interpreter="/usr/local/bin/python3"')
    done = run("--output", "out", "--base", "base")
    assert done.exit_code == 0, done.output
    image = Image(folder / "out")
    assert image.members(0).keys() >= {"usr/local/bin/python3"}
    assert len(image.layers) == 2
    values = dict(each.split("=", 1) for each in image.config["config"]["Env"])
    assert (values["PATH"], values["LANG"]) == ("/usr/local/bin", "C.UTF-8")
    assert image.config["config"]["Entrypoint"][0] == "/usr/local/bin/python3"
    assert image.manifest["annotations"]["org.opencontainers.image.base.name"] == "python"


def test_a_base_that_is_not_what_was_asked_for_is_refused(folder: Path) -> None:
    wanted = as_layout(folder / "base")
    project(folder, f'base="python@{wanted}", architecture="aarch64"')
    done = run("--output", "out", "--base", "base")
    assert done.output == f"chat.py: {wanted} has no image for arm64; give another base\n"
    project(folder, f'base="python@{wanted}"')
    blob = folder / "base/blobs/sha256" / wanted[7:]
    blob.write_bytes(blob.read_bytes() + b" ")
    done = run("--output", "out", "--base", "base")
    assert done.output.endswith(f"{wanted[7:]} is not what its name says; fetch the base anew\n")
    blob.unlink()
    done = run("--output", "out", "--base", "base")
    assert f"base lacks {wanted}; fetch the base with skopeo copy" in done.output
    assert not (folder / "out").exists()


REFUSED: list[tuple[str, list[str], str]] = [
    (
        'rootfs="base.tar", interpreter="/usr/bin/python4"',
        [],
        "chat.py: base.tar has no /usr/bin/python4; make it with python3-minimal and "
        "libpython3-stdlib\n",
    ),
    (
        'rootfs="base.tar"',
        ["--containerfile"],
        "a Containerfile begins with a base that has a name; give Image(base=...)\n",
    ),
    (
        'base="python@sha256:" + "a" * 64',
        [],
        f"--base FOLDER: missing; skopeo copies python@sha256:{'a' * 64} there, or "
        "--containerfile\n",
    ),
]


@pytest.mark.parametrize(("given", "words", "expected"), REFUSED, ids=lambda _: "")
def test_mistakes(folder: Path, given: str, words: list[str], expected: str) -> None:
    project(folder, given)
    done = run("--output", "out", *words)
    assert (done.exit_code, done.output) == (1, expected)
    assert not (folder / "out").exists()


def test_secrets_need_not_be_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = folder / "chat.py"
    text = inventory.read_text()
    inventory.write_text(
        text.replace('App("app.py")', 'App("app.py", secrets={"TOKEN": FromEnv("TOKEN")})')
    )
    monkeypatch.delenv("TOKEN", raising=False)
    without = run("--output", "out")
    assert without.exit_code == 0, without.output
    monkeypatch.setenv("TOKEN", "a secret")
    assert run("--output", "new").output == without.output


def test_its_folder_is_made_anew(folder: Path) -> None:
    run("--output", "out")
    (folder / "app.py").write_text("print('two')\n")
    again = run("--output", "out")
    assert again.exit_code == 0, again.output
    run("--output", "new")
    assert read(folder / "out") == read(folder / "new")


def test_an_image_of_others_is_left_alone(folder: Path) -> None:
    run("--output", "out")
    inventory = folder / "chat.py"
    inventory.write_text(inventory.read_text().replace(".com/chat", ".com/other"))
    before = read(folder / "out")
    done = run("--output", "out")
    assert done.output == "out has something in it; give a new folder, or an empty one\n"
    assert read(folder / "out") == before
    as_layout(folder / "base")
    done = run("--output", "base")
    assert done.output == "base has something in it; give a new folder, or an empty one\n"


def test_a_folder_with_something_in_it_is_left_alone(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out/own").write_text("")
    done = run("--output", "out")
    assert done.output == "out has something in it; give a new folder, or an empty one\n"


def test_a_containerfile_for_those_who_build_elsewhere(folder: Path) -> None:
    project(folder, f'base="python:3.13@sha256:{"a" * 64}"')
    before = os.umask(0o077)
    try:
        done = run("--output", "out", "--containerfile")
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    # COPY keeps modes, and pods have a user of their own.
    folders = [each for each in (folder / "out/release").rglob("*") if each.is_dir()]
    assert folders
    assert {each.stat().st_mode & 0o777 for each in folders} == {0o755}
    lines = (folder / "out/Containerfile").read_text().splitlines()
    assert lines[0].startswith("# registry.a-company.com/chat:")
    assert lines[1] == f"FROM python:3.13@sha256:{'a' * 64}"
    # The base may have no shell.
    assert not [line for line in lines if line.startswith("RUN")]
    assert "USER 65532:65532" in lines
    (entrypoint,) = [line for line in lines if line.startswith("ENTRYPOINT")]
    interpreter, app = json.loads(entrypoint.removeprefix("ENTRYPOINT "))
    assert interpreter == "/usr/bin/python3"
    assert (folder / "out/release" / app.lstrip("/")).read_text() == "print('one')\n"


def test_a_base_that_is_cut_off_is_a_line(folder: Path) -> None:
    whole = (folder / "base.tar").read_bytes()
    with tarfile.open(folder / "base.tar") as tar:
        last = max(tar, key=lambda member: member.offset_data if member.size > 1 else 0)
    (folder / "base.tar").write_bytes(whole[: last.offset_data + 1])
    result = run("--output", "out")
    assert result.exit_code == 1
    assert "is no whole tar archive" in result.output
    assert len(result.output.splitlines()) == 1


def test_of_an_index_the_image_for_linux_is_taken() -> None:
    windows = {"digest": "w", "platform": {"os": "windows", "architecture": "amd64"}}
    linux = {"digest": "l", "platform": {"os": "linux", "architecture": "amd64"}}
    other = {"digest": "o", "platform": None}
    assert base.for_linux({"manifests": [other, windows, linux]}, "amd64") == "l"
    assert base.for_linux({"manifests": [other, windows]}, "amd64") is None
    assert base.for_linux({}, "amd64") is None


def test_a_file_for_nodes_is_the_same_to_the_byte(tmp_path: Path) -> None:
    made = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        (folder / "blobs").mkdir(parents=True, mode=(0o700, 0o755)[number - 1])
        for name in ("index.json", "blobs/a"):
            (folder / name).write_text("{}")
            os.utime(folder / name, (number, number))
        pack(folder, tmp_path / f"{number}.tar")
        made.append((tmp_path / f"{number}.tar").read_bytes())
    assert made[0] == made[1]
