"""Releases appear under their name whole, or not at all."""

import base64
import io
import marshal
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.unit.host_programs.conftest import Start, Until
from wshost.rollout import install_release

FILES = {
    "app/app.py": b"import one\n",
    "lib/one/__init__.py": b"value = 7\n",
    "lib/data.txt": b"data",
    "launch.py": b"pass\n",
}

SECOND = "second"


def packed(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode, member.uid = len(content), 0o644, 4711
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def test_contents(tmp_path: Path) -> None:
    install_release.install(packed(FILES), tmp_path, "one")
    for path, content in FILES.items():
        assert (tmp_path / "one" / path).read_bytes() == content
    assert os.listdir(tmp_path) == ["one"]


def test_files_are_this_users_own_and_readable_by_the_app(tmp_path: Path) -> None:
    install_release.install(packed(FILES), tmp_path, "one")
    for path in [tmp_path / "one", *(tmp_path / "one").rglob("*")]:
        info = path.stat()
        assert info.st_uid == os.getuid()
        assert stat.S_IMODE(info.st_mode) == (0o755 if path.is_dir() else 0o644)


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    install_release.install(packed(FILES), tmp_path, "one")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    install_release.install(packed({"other": b""}), tmp_path, "one")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_releases_stand_beside_each_other(tmp_path: Path) -> None:
    install_release.install(packed(FILES), tmp_path, "one")
    install_release.install(packed(FILES | {"lib/data.txt": b"new"}), tmp_path, SECOND)
    assert (tmp_path / "one/lib/data.txt").read_bytes() == b"data"
    assert (tmp_path / SECOND / "lib/data.txt").read_bytes() == b"new"


def test_a_truncated_archive_installs_nothing_or_lacks_nothing(tmp_path: Path) -> None:
    archive = packed(FILES)
    installed = 0
    for kept in range(len(archive)):
        name = f"cut-at-{kept}"
        try:
            install_release.install(archive[:kept], tmp_path, name)
        except (tarfile.TarError, OSError, EOFError):
            assert not (tmp_path / name).exists()
        else:
            # Only the end of the archive was missing, where there is nothing but padding.
            installed += 1
            assert all((tmp_path / name / path).read_bytes() == FILES[path] for path in FILES)
    assert installed < 50


def test_a_member_that_leads_out_installs_nothing(tmp_path: Path) -> None:
    releases = tmp_path / "releases"
    releases.mkdir()
    with pytest.raises(tarfile.TarError):
        install_release.install(packed({"../escaped": b""}), releases, "one")
    assert not (tmp_path / "escaped").exists()
    assert not (releases / "one").exists()


def test_a_killed_run_leaves_nothing_under_the_name_and_is_cleaned_up(
    tmp_path: Path, program: Start, until: Until
) -> None:
    # It dies while it compiles, when everything is unpacked already.
    code = (
        "import json, os, pathlib, sys\nfrom wshost.rollout import install_release\n"
        "install_release.compileall.compile_dir = lambda *a, **k: os.kill(os.getpid(), 9)\n"
        "archive, releases = (json.loads(a) for a in sys.argv[1:])\n"
        "install_release.install(bytes.fromhex(archive), pathlib.Path(releases), 'one')\n"
    )
    killed = program(code, packed(FILES).hex(), str(tmp_path))
    assert killed.wait() == -9
    assert os.listdir(tmp_path), "it had begun"
    assert not (tmp_path / "one").exists()
    install_release.install(packed(FILES), tmp_path, "one")
    assert os.listdir(tmp_path) == ["one"]


def test_bytecode_is_there_and_trusted(tmp_path: Path) -> None:
    install_release.install(packed(FILES), tmp_path, "one")
    for source in (tmp_path / "one").rglob("*.py"):
        (compiled,) = (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")
        data = compiled.read_bytes()
        # PEP 552: bit 0 says that it goes by a hash, bit 1 that the source is to be compared.
        assert int.from_bytes(data[4:8], "little") == 0b01
        code = marshal.loads(data[16:])  # noqa: S302 (made a moment ago)
        assert code.co_filename == str(source), "as tracebacks show it"


def test_bytecode_is_what_runs(tmp_path: Path) -> None:
    install_release.install(packed(FILES), tmp_path, "one")
    lib = tmp_path / "one/lib"
    done = subprocess.run(
        [sys.executable, "-v", "-c", "import one; print(one.value)"],
        env={"PYTHONPATH": str(lib)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "7\n"
    assert f"{lib}/one/__pycache__" in done.stderr


def test_a_file_that_does_not_compile_is_somebody_elses_matter(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    install_release.install(
        packed(FILES | {"lib/template.py": b"{{ no }} python"}), tmp_path, "one"
    )
    assert (tmp_path / "one/lib/template.py").exists()
    assert "".join(capfd.readouterr()) == ""


def test_main_reads_the_archive_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(base64.b64encode(packed(FILES)).decode() + "\n"))
    install_release.main({"releases": str(tmp_path), "id": "one"})
    assert Path(tmp_path, "one/launch.py").exists()
