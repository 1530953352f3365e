"""Projects of one's own, with the wheel and nothing else of this repository."""

import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

import wsdeploy
import wsdeploy_sandbox as sandbox
from tests.sandbox.conftest import installed
from tests.sandbox.site import PROJECT
from wsdeploy.checks.client import connect

COMBINATIONS = [("trixie", "HAProxy")]

FROM_NOTHING = """\
uv venv --quiet
uv pip install --quiet 'wsdeploy[checks]'
. .venv/bin/activate
wsdeploy init chat
cd chat
pyinfra -y inventories/sandbox.py deploy.py
pyinfra -y inventories/sandbox.py wsdeploy.certificates
"""

# docs/ quote these: an app with a lock, a C extension and a secret, to a client that talks to it.
OWN_APP = """\
cd tally
uv add --quiet --dev 'wsdeploy[checks]'
uv run wsdeploy init --app . --secret GREETING
export GREETING='Good morning'
uv run pyinfra -y inventories/sandbox.py deploy.py
uv run pyinfra -y inventories/sandbox.py wsdeploy.certificates
export SSL_CERT_FILE=certificates/tally.sandbox.test.pem
uv run python -m websockets wss://tally.sandbox.test/
"""

PYPROJECT = """\
[project]
name = "tally"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["msgpack>=1", "websockets>=15"]

[project.scripts]
tally = "tally.server:main"

[build-system]
requires = ["uv_build>=0.9,<1"]
build-backend = "uv_build"
"""

SERVER = """\
import os

from msgpack import _cmsgpack
from wsapp import run

packer = _cmsgpack.Packer()


async def handler(websocket):
    async for message in websocket:
        await websocket.send(f"{os.environ['GREETING']}, {packer.pack(message).hex()}")


def main() -> None:
    run(handler)
"""

AGAIN = "pyinfra -y --json inventories/sandbox.py deploy.py 2>/dev/null"

NOT_THE_USERS = {".venv", "__pycache__", "certificates", "pyinfra-debug.log", ".pytest_cache"}


class Place:
    """Where somebody begins."""

    def __init__(self, suite: str, proxy: str, folder: Path) -> None:
        self.suite, self.proxy, self.folder = suite, proxy, folder
        self.wheels, programs = folder / "wheels", folder / "bin"
        programs.mkdir()
        (programs / "uv").symlink_to(find_uv_bin())
        # By its place, so that nothing but an environment of the test's own is installed to.
        (programs / "python3").symlink_to(Path(sys.executable).resolve())
        known = ("HOME", "LANG", "XDG_CACHE_HOME", "SSL_CERT_FILE", "PIP_CERT")
        self.environment = {
            **{name: os.environ[name] for name in os.environ if name.startswith("UV_INDEX")},
            **{name: os.environ[name] for name in known if name in os.environ},
            "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            # As if the wheel were on an index.
            "UV_FIND_LINKS": str(self.wheels),
            "UV_PYTHON_DOWNLOADS": "never",
            "SUITE": suite,
            "PROXY": proxy.lower(),
        }

    def build(self, tree: Path) -> None:
        """Build the wheel of a tree."""
        command = [find_uv_bin(), "build", "--quiet", "--wheel", "--no-build-isolation"]
        python = ["--python", sys.executable]
        subprocess.run([*command, *python, "--out-dir", str(self.wheels), str(tree)], check=True)

    def host(self, name: str) -> str:
        """Bring up a fresh host that has its packages, and return its name for this combination."""
        # Those of another combination may be there at the same time.
        name = f"{name}-{self.suite[0]}{self.proxy[0].lower()}"
        sandbox.down(name)
        sandbox.up(f"{name}:{self.suite}", layer=installed(self.proxy))
        return name

    def run(self, script: str, folder: Path | None = None) -> str:
        """Run shell commands, all of which must succeed, and return what they print."""
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=folder or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def place(combination: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder with nothing, a wheel, and a shell that knows nothing but uv."""
    place = Place(*combination, tmp_path_factory.mktemp("place"))
    place.build(PROJECT)
    return place


@pytest.fixture(scope="module")
def chat(place: Place) -> Iterator[tuple[Path, str]]:
    """A new project that was deployed, and what that has said."""
    name = place.host("chat")
    said = place.run(FROM_NOTHING.replace("chat", name))
    yield place.folder / name, said
    if not os.environ.get("KEEP_SANDBOX"):
        sandbox.down(name)


def changes(said: str) -> int:
    """Return how many operations of a run have changed something."""
    return int(json.loads(said)["results"]["totals"]["success"])


def echoes(project: Path) -> None:
    """Send a message to the service of a project; the same must come back, over verified TLS."""
    domain = f"{project.name}.sandbox.test"
    trusted = ssl.create_default_context(cafile=project / "certificates" / f"{domain}.pem")
    with connect(f"wss://{domain}/", ssl=trusted) as websocket:
        websocket.send("marco")
        assert websocket.recv(60) == "marco"


def test_from_an_empty_folder_to_an_echo(chat: tuple[Path, str], place: Place) -> None:
    project, said = chat
    assert "new files:" in said
    echoes(project)
    here = ". ../.venv/bin/activate\n"
    assert changes(place.run(f"{here}{AGAIN}", project)) == 0
    checked = place.run(f"{here}pytest -q tests/hosts --inventory inventories/sandbox.py", project)
    assert re.search(r"\d+ passed", checked), checked


def digests(project: Path) -> dict[str, str]:
    """Return what the user's own files are."""
    return {
        path.relative_to(project).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in project.rglob("*")
        if path.is_file() and not NOT_THE_USERS & set(path.relative_to(project).parts)
    }


def test_a_later_version_in_the_same_project(
    chat: tuple[Path, str], place: Place, tmp_path: Path
) -> None:
    project, _ = chat
    later = copy_of_our_tree(tmp_path / "later")
    init = later / "wsdeploy/__init__.py"
    init.write_text(init.read_text().replace(f'"{wsdeploy.__version__}"', '"0.1.99"'))
    for template in ("haproxy/haproxy.cfg.j2", "nginx/nginx.conf.j2"):
        file = later / "templates" / template
        file.write_text(f"{file.read_text()}# later\n")
    place.build(later)
    before = digests(project)
    assert {"deploy.py", "inventories/prod.py", "files/app.py"} <= before.keys()
    here = ". ../.venv/bin/activate\n"
    place.run("uv pip install --quiet --upgrade-package wsdeploy 'wsdeploy[checks]'")
    assert "0.1.99" in place.run(f"{here}wsdeploy --version", project)

    planned = place.run(f"{here}pyinfra --dry inventories/sandbox.py deploy.py", project)
    unit = f"{place.proxy.lower()}.service"
    assert re.search(rf"Proxy \| {unit}.*1", planned), planned
    run = place.run(f"{here}pyinfra -y inventories/sandbox.py deploy.py", project)
    assert f"Proxy | {unit}" in run
    assert "later" in sandbox_says(project.name, f"tail -n 1 /etc/{configuration(place)}")
    assert digests(project) == before
    echoes(project)


def copy_of_our_tree(target: Path) -> Path:
    """Copy what a wheel is built from."""
    ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", "tests", "bench", "docs")
    shutil.copytree(PROJECT, target, ignore=ignored)
    return target


def configuration(place: Place) -> str:
    return {"Nginx": "nginx/nginx.conf", "HAProxy": "haproxy/haproxy.cfg"}[place.proxy]


def sandbox_says(name: str, command: str) -> str:
    host = sandbox.find(name)
    words = ["ssh", "-i", host.key, "-o", f"UserKnownHostsFile={host.known_hosts}"]
    done = subprocess.run(
        [*words, f"root@{host.address}", command], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def tally(place: Place) -> Iterator[Path]:
    """A repository of an app of one's own, and a host for it."""
    name = place.host("tally")
    project = place.folder / name
    package = project / "src" / name.replace("-", "_")
    package.mkdir(parents=True)
    described = PYPROJECT.replace("tally.server", f"{package.name}.server")
    (project / "pyproject.toml").write_text(
        described.replace("tally =", f"{name} =").replace('"tally"', f'"{name}"')
    )
    (package / "__init__.py").write_text("")
    (package / "server.py").write_text(SERVER)
    (project / ".gitignore").write_text(".venv/\n__pycache__/\n")
    place.run("uv lock --quiet; git init --quiet", project)
    yield project
    if not os.environ.get("KEEP_SANDBOX"):
        sandbox.down(name)


def test_an_app_of_ones_own_in_ten_lines(tally: Path, place: Place) -> None:
    assert len(OWN_APP.splitlines()) <= 10
    theirs = {path: path.read_bytes() for path in (tally / "src").rglob("*.py")}
    with subprocess.Popen(
        ["sh", "-ec", OWN_APP.replace("tally", tally.name)],
        cwd=place.folder,
        env=place.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        assert shell.stdin
        assert shell.stdout
        said = ""
        # What one types waits until the client reads it.
        shell.stdin.write("hello\n")
        shell.stdin.flush()
        for line in shell.stdout:
            said += line
            if "Good morning" in line:
                break
        shell.stdin.close()
        shell.stdout.read()
    assert "Good morning, a568656c6c6f" in said, said
    assert {path: path.read_bytes() for path in (tally / "src").rglob("*.py")} == theirs
    again = place.run(f"export GREETING='Good morning'\nuv run {AGAIN}", tally)
    assert changes(again) == 0, "what a run leaves in the folder makes no other release"
