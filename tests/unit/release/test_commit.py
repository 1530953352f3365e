"""The commit that a release is built from, for people to read."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wsdeploy.plan.host.survey import Survey
from wsdeploy.release import contents, git
from wsdeploy.settings import App, SelfSigned, Settings

AS = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")


RunGit = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> RunGit:
    """Run git in the test's folder; returns what it prints."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ("git", *AS, *words), cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    return git


@pytest.fixture
def app(tmp_path: Path, run: RunGit) -> Path:
    """An app beside something else, both in git."""
    run("init")
    path = tmp_path / "files" / "app.py"
    path.parent.mkdir()
    path.write_text("print('one')\n")
    (tmp_path / "README.md").write_text("one\n")
    run("add", ".")
    run("commit", "--message", "Add rooms\n\nA body.")
    return path


def test_an_app_is_at_a_commit(app: Path, run: RunGit, tmp_path: Path) -> None:
    wanted = {"id": run("log", "--format=%h"), "subject": "Add rooms", "changed": False}
    assert git.commit(app) == git.commit(app.parent) == wanted
    (tmp_path / "README.md").write_text("two\n")
    assert git.commit(app) == wanted, "that is no part of the app"


@pytest.mark.parametrize("path", ["files/app.py", "files/new.py"])
def test_changes_that_are_in_no_commit(app: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / path).write_text("print('two')\n")
    folder, file = git.commit(app.parent), git.commit(app)
    assert folder
    assert folder["changed"]
    assert file
    assert file["changed"] == (path == "files/app.py")


def test_what_is_in_no_git(
    app: Path, run: RunGit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    subprocess.run(("git", "init", "--quiet"), cwd=empty, check=True)
    assert git.commit(empty) is None, "it has no commit yet"
    assert git.commit(tmp_path / "missing" / "app.py") is None
    monkeypatch.setenv("PATH", "")
    assert git.commit(app) is None, "there is no git"


def test_a_hook_of_another_repository_changes_nothing(
    app: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    found = git.commit(app)
    assert found
    assert found["subject"] == "Add rooms"


def test_the_same_code_is_the_same_release(app: Path, run: RunGit) -> None:
    settings = Settings("ws.a-company.com", App(str(app)), SelfSigned())
    before = contents.release(settings, Survey(bare=True)).id
    run("commit", "--allow-empty", "--message", "Something else")
    again = Settings("ws.a-company.com", App(str(app)), SelfSigned())
    assert contents.release(again, Survey(bare=True)).id == before
