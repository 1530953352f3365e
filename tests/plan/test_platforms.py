"""Whole runs for platforms: pyinfra writes their files into a project on this machine."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import pyinfra_server
from tests.plan.conftest import REPOSITORY, Run

INVENTORY = """\
from wsdeploy import *

settings = Settings("ws.a-company.com", App("chat/app.py"{app}), SelfSigned(), name="chat"{more})
project = platform(settings, {where})
"""

RunIn = Callable[..., Run]


@pytest.fixture
def inventory(folder: Path) -> Callable[..., None]:
    """Write the inventory of a project."""
    for name in ("deploy.py", "config.py"):
        shutil.copy(REPOSITORY / name, folder)
    (folder / "chat").mkdir()
    (folder / "chat/app.py").write_text("from wsapp import run\n")
    (folder / "chat/requirements.txt").write_text("websockets==17.0 --hash=sha256:00\n")

    def write(where: str = "Heroku()", app: str = "", more: str = "") -> None:
        (folder / "inventory.py").write_text(INVENTORY.format(where=where, app=app, more=more))

    write()
    return write


@pytest.fixture
def deploy_project(folder: Path) -> RunIn:
    """Run pyinfra in the folder of a project."""

    def run(*words: str, inventory: str = "inventory.py") -> Run:
        done = pyinfra_server.run(
            [inventory, *(words or ("deploy.py", "-y", "--json"))],
            cwd=folder,
            env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
            timeout=120,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return run


def texts(folder: Path) -> dict[str, str]:
    """Return the files of a project that are not the test's own."""
    own = {"deploy.py", "config.py", "app.py", "inventory.py", "pyinfra-debug.log"}
    found = {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).parts[0] not in ("cache", "chat", "__pycache__")
    }
    return {
        name: text
        for name, text in found.items()
        if name not in own and name != "pyinfra-debug.log"
    }


def test_files_are_written_once(
    folder: Path, inventory: Callable[..., None], deploy_project: RunIn
) -> None:
    first = deploy_project()
    assert (first.code, first.totals["success"]) == (0, 1), first.said
    before, _, after = first.err.partition("Starting operation")
    assert "app.drain: 30 s given; Heroku kills an instance 30 s after SIGTERM" in before
    assert "what hosts have and Heroku has not: " in before
    assert "  heroku create chat\n" in after
    written = texts(folder)
    assert {"Procfile", "app.json", ".python-version", "requirements.txt"} < written.keys()
    assert ".wsdeploy/wsapp/server.py" in written
    second = deploy_project()
    assert texts(folder) == written
    assert second.totals["success"] == second.totals["error"] == 0
    assert second.totals["no_change"] == 1
    assert "chat on Heroku: nothing to do" in second.err


def test_a_dry_run_shows_what_a_setting_changes_and_an_edited_file_ends_a_run(
    folder: Path, inventory: Callable[..., None], deploy_project: RunIn
) -> None:
    deploy_project()
    before = texts(folder)
    inventory(more=", max_connections=77")
    dry = deploy_project("--dry", "--diff", "deploy.py")
    assert "+ export WS_MAX_CONNECTIONS=77" in re.sub(r"\x1b\[\d*m", "", dry.err)
    assert texts(folder) == before
    (folder / "Procfile").write_text("web: mine\n")
    run = deploy_project()
    assert run.code == 1
    assert "Procfile: somebody has changed it since wsdeploy wrote it" in run.err
    assert texts(folder) == {**before, "Procfile": "web: mine\n"}


def test_another_platform_takes_over_a_project(
    folder: Path, inventory: Callable[..., None], deploy_project: RunIn
) -> None:
    deploy_project()
    inventory("Fly()")
    assert deploy_project().code == 0
    assert "fly.toml" in texts(folder)
    assert not {"app.json", ".python-version"} & texts(folder).keys()
