"""The wheel: built without an index, with all that a deployment needs, and nothing else.

And the source distribution, which is the repository.
"""

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest
from uv import find_uv_bin

import wsdeploy

PROJECT = Path(__file__).parents[2]
ELSEWHERE = {"templates": "wsdeploy/data/templates", "files": "wsdeploy/data/files"}


def build(kind: str, folder: Path) -> None:
    subprocess.run(
        [
            find_uv_bin(), "build", "--quiet", kind, "--no-build-isolation", "--offline",
            "--python", sys.executable, "--out-dir", str(folder), str(PROJECT),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build("--wheel", folder)
    (built,) = folder.glob("*.whl")
    return built


def repository() -> list[str]:
    """The paths of the files in the repository."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("only git knows what belongs in it")
    return [path for path in done.stdout.splitlines() if (PROJECT / path).is_file()]


def wanted() -> Iterator[str]:
    """The files of the repository that belong in the wheel, by their paths in it."""
    for path in repository():
        first, _, rest = path.partition("/")
        if first in ELSEWHERE:
            yield f"{ELSEWHERE[first]}/{rest}"
        elif first in ("wsdeploy", "wsdeploy_sandbox", "wsapp", "wshost"):
            yield path


def test_it_has_all_files_of_its_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {*wanted()}
    assert "wsdeploy/data/templates/nginx/nginx.conf.j2" in names
    assert "wsapp/py.typed" in names
    assert "wsdeploy/py.typed" in names


def test_the_source_has_all_that_the_makefile_needs(tmp_path: Path) -> None:
    build("--sdist", tmp_path)
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert names == {*repository(), "PKG-INFO"}


def test_its_metadata(wheel: Path) -> None:
    assert wheel.name == f"wsdeploy-{wsdeploy.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        info = f"wsdeploy-{wsdeploy.__version__}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        programs = archive.read(f"{info}/entry_points.txt").decode()
    assert metadata["Version"] == wsdeploy.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"] == "The wsdeploy authors"
    assert "checks" in metadata.get_all("Provides-Extra", [])
    assert "wsdeploy = wsdeploy.cli:main" in programs


PROGRAM = """
import sys
from wsdeploy import resources
from wsdeploy.plan.host import remote
from wsdeploy.release import contents
assert resources.__file__.startswith(sys.argv[1]), resources.__file__
assert len(remote.closure("watchdog.service")) > 5
assert (contents.PACKAGES / "wsapp/server.py").is_file()
assert (contents.PACKAGES / "wshost/rollout/launch.py").is_file()
from wsdeploy import cli
sys.argv = ["wsdeploy", *sys.argv[2:]]
cli.main()
"""


def test_what_is_installed_works_by_itself(wheel: Path, tmp_path: Path) -> None:
    """As in a project that has nothing of this repository."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)  # noqa: S202 - a wheel of our own
    project = tmp_path / "project"
    project.mkdir()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, str(site), *words],
            cwd=project,
            env=os.environ | {"PYTHONPATH": str(site), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    words = ("--domain", "ws.a-company.com", "--host", "192.0.2.1")
    done = run("init", *words)
    assert done.returncode == 0, done.stderr
    prod = project / "inventories/prod.py"
    prod.write_text(prod.read_text().replace("example.com", "a-company.com"))
    shown = run("render", "inventories/prod.py")
    assert shown.returncode == 0, shown.stderr
    assert "listen 443 ssl" in shown.stdout
    assert (project / "files/requirements.txt").read_text() == (
        PROJECT / "files/requirements.txt"
    ).read_text()
