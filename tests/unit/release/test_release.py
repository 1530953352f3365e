"""Releases: an ID that stands for the contents, and an archive with nothing of this machine."""

import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.release.conftest import MakeRelease
from wsdeploy import App, SelfSigned, Settings
from wsdeploy.plan.host.survey import Survey
from wsdeploy.release import build, contents
from wsdeploy.release.contents import Release

BOOKWORM = {"version": "12", "python": "3.11", "architecture": "x86_64"}
HASH = "0" * 64
# A requirement that no index is asked for: a file that is not there.
NOWHERE = "demo @ file:///no/such/demo-1.0-py3-none-any.whl --hash=sha256:" + HASH + "\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "app.py").write_text("print('one')\n")
    return project


@pytest.fixture
def release(folder: Path) -> MakeRelease:
    def make(app: str = "app.py", requirements: str | None = None, **system: str) -> Release:
        named = str(folder / requirements) if requirements else None
        settings = Settings(
            "ws.a-company.com", App(str(folder / app), requirements=named), SelfSigned()
        )
        return contents.release(settings, Survey(system=BOOKWORM | system))

    return make


def test_an_id_is_stable_and_safe_in_paths(release: MakeRelease) -> None:
    assert release().id == release().id
    assert len(release().id) == 12
    assert set(release().id) <= set("0123456789abcdef")


def test_an_id_is_the_same_on_every_machine() -> None:
    files = {"app/app.py": b"print()\n", "launch.py": b""}
    kinds = [files, dict(reversed(files.items()))]
    ids = {Release(f, None, "3.11", "x86_64-manylinux_2_36", "app/app.py").id for f in kinds}
    assert len(ids) == 1


def test_an_id_does_not_depend_on_time_or_place(release: MakeRelease, folder: Path) -> None:
    before = release().id
    os.utime(folder / "app.py", (0, 0))
    (folder / "app.py").chmod(0o700)
    elsewhere = folder / "else/where"
    elsewhere.mkdir(parents=True)
    (elsewhere / "app.py").write_text("print('one')\n")
    assert release().id == release("else/where/app.py").id == before


def test_what_is_in_a_release_changes_its_id(release: MakeRelease, folder: Path) -> None:
    ids = [release().id]
    (folder / "app.py").write_text("print('two')\n")
    ids.append(release().id)
    (folder / "requirements.txt").write_text("# nothing\n")
    ids.append(release().id)
    (folder / "requirements.txt").write_text(NOWHERE)
    ids.append(release().id)
    ids.append(release(python="3.13").id)
    ids.append(release(version="13").id)
    ids.append(release(architecture="aarch64").id)
    (folder / "main.py").write_text((folder / "app.py").read_text())
    ids.append(release("main.py").id)
    assert len(set(ids)) == len(ids)


def test_the_harness_and_the_launcher_change_it_too(release: MakeRelease) -> None:
    one = release()
    for path in ("launch.py", "lib/wsapp/__init__.py"):
        files = dict(one.files) | {path: b"changed"}
        assert Release(files, one.requirements, one.python, one.platform, one.main).id != one.id


def test_what_is_not_in_a_release_does_not(release: MakeRelease, folder: Path) -> None:
    before = release().id
    (folder / "notes.txt").write_text("new")
    assert release(cloud_init="done", boot="another").id == before


def test_a_named_lock_is_taken(release: MakeRelease, folder: Path) -> None:
    (folder / "requirements.txt").write_text("# one\n")
    (folder / "other.txt").write_text("# two\n")
    assert release().requirements == "# one\n"
    assert release(requirements="other.txt").requirements == "# two\n"
    (folder / "requirements.txt").unlink()
    assert release().requirements is None


@pytest.mark.parametrize(
    ("system", "platform"),
    [
        ({"version": "12"}, "x86_64-manylinux_2_36"),
        ({"version": "13"}, "x86_64-manylinux_2_40"),
        ({"version": "13", "architecture": "aarch64"}, "aarch64-manylinux_2_40"),
        ({"version": ""}, "x86_64-manylinux_2_36"),
    ],
)
def test_platforms(release: MakeRelease, system: dict[str, str], platform: str) -> None:
    assert release(**system).platform == platform


def members(archive: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes | None]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            m.name: (m, file.read() if m.isfile() and (file := tar.extractfile(m)) else None)
            for m in tar.getmembers()
        }


def test_contents_of_an_archive(release: MakeRelease) -> None:
    wanted = release()
    found = members(build.archive(wanted))
    assert found["app/app.py"][1] == b"print('one')\n"
    assert "launch.py" in found
    assert "lib/wsapp/__init__.py" in found
    assert {name: content for name, (_, content) in found.items()} == wanted.files
    assert wanted.main in found


def test_members_have_nothing_of_this_machine(release: MakeRelease) -> None:
    for member, _ in members(build.archive(release())).values():
        assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
        assert member.uname in ("", "root")
        assert member.mode == 0o644


def test_two_builds_are_alike(
    release: MakeRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = members(build.archive(release()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    two = members(build.archive(release()))
    assert list(one) == list(two)
    assert [(m.get_info(), c) for m, c in one.values()] == [
        (m.get_info(), c) for m, c in two.values()
    ]


def test_an_app_runs_from_its_archive(release: MakeRelease, folder: Path, tmp_path: Path) -> None:
    (folder / "app.py").write_text("import wsapp\nprint(wsapp.__file__)\n")
    with tarfile.open(fileobj=io.BytesIO(build.archive(release()))) as tar:
        tar.extractall(tmp_path / "host", filter="data")
    done = subprocess.run(
        [sys.executable, tmp_path / "host/app/app.py"],
        env={"PYTHONPATH": str(tmp_path / "host/lib")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "host/lib/wsapp/__init__.py")


def test_a_release_is_built_once(release: MakeRelease, monkeypatch: pytest.MonkeyPatch) -> None:
    one = build.archive(release())

    def no_build(_: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(build, "_build", no_build)
    assert build.archive(release()) == one


def test_a_build_that_fails_is_not_kept(release: MakeRelease, folder: Path, tmp_path: Path) -> None:
    (folder / "requirements.txt").write_text(NOWHERE)
    for _ in range(2):
        with pytest.raises(build.BuildError):
            build.archive(release())
    assert not list(tmp_path.rglob("*.tar.gz"))


def test_a_build_error_is_what_uv_says(release: MakeRelease, folder: Path) -> None:
    (folder / "requirements.txt").write_text(NOWHERE)
    with pytest.raises(build.BuildError) as failed:
        build.archive(release())
    assert "no/such/demo-1.0-py3-none-any.whl" in str(failed.value)
    assert "Traceback" not in str(failed.value)


def wheel(folder: Path, **files: Any) -> str:
    """A wheel of a package named demo, made here; return its requirement with the right hash."""
    path = folder / "demo-1.0-py3-none-any.whl"
    info = "demo-1.0.dist-info"
    entries = {
        "demo/__init__.py": "value = 7\n",
        "demo/run.sh": "#!/bin/sh\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ndemo = demo:run\n",
    } | files
    record = "".join(f"{name},,\n" for name in (*entries, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (entries | {f"{info}/RECORD": record}).items():
            archive.writestr(zipfile.ZipInfo(name), text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"demo @ {path.as_uri()} --hash=sha256:{digest}\n"


def test_dependencies_come_along(release: MakeRelease, folder: Path) -> None:
    (folder / "requirements.txt").write_text(wheel(folder))
    found = members(build.archive(release()))
    assert found["lib/demo/__init__.py"][1] == b"value = 7\n"
    assert {"lib/wsapp/__init__.py", "app/app.py", "launch.py"} <= set(found)
    for name, (member, _) in found.items():
        assert (member.uid, member.gid, member.mtime) == (0, 0, 0), name
        assert stat.S_IMODE(member.mode) == (0o755 if member.isdir() else 0o644), name


def test_scripts_and_bytecode_stay_behind(release: MakeRelease, folder: Path) -> None:
    (folder / "requirements.txt").write_text(wheel(folder))
    names = set(members(build.archive(release())))
    assert not [n for n in names if n.startswith("lib/bin") or "__pycache__" in n or "lock" in n]


def test_a_wrong_hash_is_refused(release: MakeRelease, folder: Path) -> None:
    right = wheel(folder)
    (folder / "requirements.txt").write_text(right[: -len(HASH) - 1] + HASH + "\n")
    with pytest.raises(build.BuildError, match=r"(?i)hash mismatch"):
        build.archive(release())
