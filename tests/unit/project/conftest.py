"""The `wsdeploy` command in a folder of its own, on a machine without git's settings."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wsdeploy import cli

Run = Callable[..., Result]
Init = Callable[..., str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands are run in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(sys, "path", [*sys.path])
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `wsdeploy` with these words; what it says is in `output`."""

    def command(*words: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["wsdeploy", *words])
        return CliRunner().invoke(cli.main, words)

    return command


@pytest.fixture
def init(run: Run) -> Init:
    """Make a project whose inventory needs no edit, and return what was said."""

    def make(*words: str) -> str:
        done = run("init", "--domain", "ws.a-company.com", "--host", "192.0.2.1", *words)
        assert done.exit_code == 0, done.output
        return done.output

    return make


@pytest.fixture
def git(here: Path) -> None:
    """Let git know its user by an address."""
    (here.parent / ".gitconfig").write_text("[user]\n\temail = ops@a-company.com\n\tname = Ops\n")
