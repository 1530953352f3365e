"""Python projects: their uv.lock, and their own package, built without a trace."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.unit.release.conftest import Complaints, MakeRelease, Write
from wsdeploy.release import build

SAMPLE = Path(__file__).parents[2] / "apps" / "project"
COMMAND = {"command": ["python", "-m", "greeter"]}


def uv(*arguments: Path | str) -> None:
    subprocess.run([find_uv_bin(), *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, write: Write) -> Path:
    """A project of our own without dependencies, and a lock that needs no index."""
    return write(
        tmp_path / "chat",
        {
            "pyproject.toml": '[project]\nname = "greeter"\nversion = "1.0"\n'
            'requires-python = ">=3.11"\n'
            '[build-system]\nrequires = ["uv_build>=0.9,<1"]\nbuild-backend = "uv_build"\n',
            "src/greeter/__init__.py": "print('hello')\n",
        },
    )


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {m.name: tar.extractfile(m) for m in tar.getmembers() if m.isfile()}
        return {name: file.read() for name, file in files.items() if file}


def listing(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def test_the_package_is_in_lib_and_the_folder_in_app(
    project: Path, release_of: MakeRelease
) -> None:
    found = members(build.archive(release_of(project, COMMAND)))
    assert found["lib/greeter/__init__.py"] == b"print('hello')\n"
    assert found["app/src/greeter/__init__.py"] == b"print('hello')\n"
    assert "app/pyproject.toml" in found


def test_nothing_is_written_into_the_folder(project: Path, release_of: MakeRelease) -> None:
    uv("lock", "--project", project)
    before = listing(project)
    build.archive(release_of(project, COMMAND))
    assert listing(project) == before


def test_nothing_tells_where_and_when_it_was_built(
    project: Path, release_of: MakeRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = members(build.archive(release_of(project, COMMAND)))
    moved = project.rename(tmp_path / "elsewhere")
    monkeypatch.setattr(build, "cache", lambda: tmp_path / "another")
    two = members(build.archive(release_of(moved, COMMAND)))
    assert one == two
    assert not [name for name in one if name.endswith(("direct_url.json", "uv_cache.json"))]
    assert str(tmp_path).encode() not in b"".join(one.values())
    record = one["lib/greeter-1.0.dist-info/RECORD"].decode()
    assert "greeter/__init__.py" in record
    assert "uv_cache.json" not in record


def test_what_makes_an_id(project: Path, release_of: MakeRelease, write: Write) -> None:
    ids = [release_of(project, COMMAND).id]
    uv("lock", "--project", project)
    ids.append(release_of(project, COMMAND).id)
    write(project, {"src/greeter/__init__.py": "print('bye')\n"})
    ids.append(release_of(project, COMMAND).id)
    (project / "src/greeter/__init__.py").chmod(0o755)
    ids.append(release_of(project, COMMAND).id)
    (project / "link").symlink_to("src")
    ids.append(release_of(project, COMMAND).id)
    assert len(set(ids)) == len(ids)
    assert release_of(project, COMMAND).id == ids[-1]


def test_files_and_links_arrive_as_they_are(
    project: Path, release_of: MakeRelease, tmp_path: Path, write: Write
) -> None:
    write(project, {"run.sh": "#!/bin/sh\n"})
    (project / "run.sh").chmod(0o744)
    (project / "data").symlink_to("src/greeter")
    with tarfile.open(fileobj=io.BytesIO(build.archive(release_of(project, COMMAND)))) as tar:
        tar.extractall(tmp_path / "host", filter="data")
    app = tmp_path / "host/app"
    assert (app / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (app / "pyproject.toml").stat().st_mode & 0o777 == 0o644
    assert (app / "data").readlink() == Path("src/greeter")


def test_a_version_from_git_is_not_needed(
    project: Path, release_of: MakeRelease, write: Write
) -> None:
    backend = (
        "import os\n"
        "from uv_build import *\n"
        "assert os.environ['SETUPTOOLS_SCM_PRETEND_VERSION'] == '0'\n"
    )
    text = (project / "pyproject.toml").read_text()
    text = text.replace('build-backend = "uv_build"', 'build-backend="own"\nbackend-path=["."]')
    write(project, {"own.py": backend, "pyproject.toml": text})
    assert "lib/greeter/__init__.py" in members(build.archive(release_of(project, COMMAND)))


def test_a_package_that_can_not_be_built(project: Path, release_of: MakeRelease) -> None:
    (project / "src/greeter/__init__.py").unlink()
    with pytest.raises(build.BuildError) as failed:
        build.archive(release_of(project, COMMAND))
    assert str(failed.value).startswith("the package greeter can't be built: ")
    assert "__init__.py" in str(failed.value)


def test_a_package_with_compiled_parts(
    project: Path, release_of: MakeRelease, write: Write
) -> None:
    backend = (
        "import uv_build, pathlib\n"
        "def build_wheel(folder, *_):\n"
        "    name = 'greeter-1.0-cp311-cp311-linux_x86_64.whl'\n"
        "    (pathlib.Path(folder) / name).write_bytes(b'')\n"
        "    return name\n"
    )
    text = (project / "pyproject.toml").read_text()
    text = text.replace('build-backend = "uv_build"', 'build-backend="own"\nbackend-path=["."]')
    write(project, {"own.py": backend, "pyproject.toml": text})
    with pytest.raises(build.BuildError, match="has compiled parts, and its wheel is for this"):
        build.archive(release_of(project, COMMAND))


def test_a_package_for_another_python(project: Path, release_of: MakeRelease, write: Write) -> None:
    wanted = f">=3.{sys.version_info.minor}"
    text = (project / "pyproject.toml").read_text().replace(">=3.11", wanted)
    write(project, {"pyproject.toml": text})
    with pytest.raises(build.BuildError) as failed:
        build.archive(release_of(project, COMMAND, python=f"3.{sys.version_info.minor - 1}"))
    assert str(failed.value) == (
        f"greeter 1.0 needs Python {wanted}, and the host has 3.{sys.version_info.minor - 1}; "
        "pin a version that runs on it, or choose another Debian release"
    )


def test_a_release_that_is_too_large(
    project: Path, release_of: MakeRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "LARGEST", 1000)
    with pytest.raises(build.BuildError, match="MB with its dependencies, and a release may have"):
        build.archive(release_of(project, COMMAND))


def test_a_lock_that_is_older_than_the_project(
    project: Path, write: Write, complaints: Complaints, release_of: MakeRelease
) -> None:
    uv("lock", "--project", project)
    assert release_of(project, COMMAND).requirements == ""
    text = (project / "pyproject.toml").read_text()
    later = text.replace('version = "1.0"', 'version = "1.0"\ndependencies = ["websockets"]')
    write(project, {"pyproject.toml": later})
    assert complaints(project, **COMMAND) == [
        f"app.requirements: '{project}/uv.lock' given; pyproject.toml has changed since; "
        f"run uv lock --project {project}"
    ]


def test_a_lock_that_is_none(project: Path, write: Write, complaints: Complaints) -> None:
    write(project, {"uv.lock": "nonsense"})
    (line,) = complaints(project, **COMMAND)
    assert "uv.lock' given; uv can't export it: " in line


def test_a_dependency_on_a_folder(project: Path, write: Write, complaints: Complaints) -> None:
    other = '[project]\nname = "other"\nversion = "1"\n[build-system]\nrequires = []\n'
    write(project, {"other/pyproject.toml": other, "other/src/other/__init__.py": ""})
    text = (project / "pyproject.toml").read_text()
    text = text.replace('version = "1.0"', 'version = "1.0"\ndependencies = ["other"]')
    write(project, {"pyproject.toml": text + '[tool.uv.sources]\nother = {path = "other"}\n'})
    uv("lock", "--project", project)
    (line,) = complaints(project, **COMMAND)
    assert "is another project of this one, which a release does not have; put its wheel" in line


def test_a_lock_of_uv_is_installed(tmp_path: Path, write: Write, release_of: MakeRelease) -> None:
    """With dependencies from an index, locked here because locks name the index."""
    copy = write(
        tmp_path / "project",
        {
            str(path.relative_to(SAMPLE)): path.read_text()
            for path in SAMPLE.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".in"
        },
    )
    (copy / "requirements.txt").unlink()
    uv("lock", "--project", copy)
    wanted = release_of(copy, COMMAND)
    assert "greeter" not in (wanted.requirements or "")
    found = members(build.archive(wanted))
    assert {"lib/websockets/__init__.py", "lib/greeter/__main__.py"} <= set(found)
    assert "app/greeting.txt" in found


def plain(name: str, more: str = "") -> str:
    """A project that is no package: a set of files."""
    return f'[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.11"\n{more}'


def test_a_project_of_a_workspace(tmp_path: Path, write: Write, release_of: MakeRelease) -> None:
    """The lock is the workspace's, and of it the app has its own part."""
    app = tmp_path / "app"
    members = '[tool.uv.workspace]\nmembers = ["app", "other"]\n'
    write(
        tmp_path,
        {
            "pyproject.toml": plain("all", members),
            "app/pyproject.toml": plain("app", 'dependencies = ["idna"]\n'),
            "app/__main__.py": "",
            "other/pyproject.toml": plain("other", 'dependencies = ["sniffio"]\n'),
        },
    )
    uv("lock", "--project", tmp_path)
    given: dict[str, str]
    for given in ({}, {"requirements": str(tmp_path / "uv.lock")}):
        requirements = release_of(app, given).requirements
        assert requirements is not None
        assert "idna==" in requirements
        assert "sniffio" not in requirements


def test_files_that_need_another_python(
    tmp_path: Path, write: Write, release_of: MakeRelease
) -> None:
    text = plain("app").replace(">=3.11", ">=3.99")
    write(tmp_path, {"app/pyproject.toml": text, "app/__main__.py": ""})
    with pytest.raises(build.BuildError, match=r"the app needs Python >=3.99, and the host has 3"):
        build.archive(release_of(tmp_path / "app"))
    write(tmp_path, {"app/pyproject.toml": plain("app").replace(">=3.11", "eleven")})
    with pytest.raises(build.BuildError, match="requires-python is 'eleven' in the app's"):
        build.archive(release_of(tmp_path / "app"))
