"""The `wsdeploy` command in a folder of its own, on a machine without git's settings."""

import sys

import pytest
from click.testing import CliRunner

from wsdeploy import cli


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
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
def run(monkeypatch):
    """Run `wsdeploy` with these words; what it says is in `output`."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["wsdeploy", *words])
        return CliRunner().invoke(cli.main, words)

    return command


@pytest.fixture
def init(run):
    """Make a project whose inventory needs no edit, and return what was said."""

    def make(*words):
        done = run("init", "--domain", "ws.a-company.com", "--host", "192.0.2.1", *words)
        assert done.exit_code == 0, done.output
        return done.output

    return make


@pytest.fixture
def git(here):
    """Let git know its user by an address."""
    (here.parent / ".gitconfig").write_text("[user]\n\temail = ops@a-company.com\n\tname = Ops\n")
