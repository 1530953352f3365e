"""Folders: what a release takes, what it leaves out, and what it refuses."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.unit.release.conftest import Complaints, Write
from wsdeploy.release import folder, git

LEFT_OUT = (
    ".venv/pyvenv.cfg",
    "venv/lib/a.py",
    "env311/pyvenv.cfg",
    "env311/lib/a.py",
    "node_modules/a.js",
    "a/__pycache__/b.pyc",
    "a/b.pyc",
    ".mypy_cache/a",
    ".pytest_cache/a",
    ".ruff_cache/a",
    "chat.egg-info/PKG-INFO",
    ".env",
    ".env.production",
    "a/.env",
    ".idea/a.xml",
    "notes.txt~",
    ".app.py.swp",
    ".DS_Store",
)
TAKEN = (".config", "a/b.py", "a/env.py", "data/words.txt", "environment/a.py")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "chat"
    path.mkdir()
    return path


@pytest.fixture
def repository(app: Path) -> Path:
    """The app's folder, as one of a git work tree."""
    assert shutil.which("git")
    subprocess.run(["git", "init", "--quiet", app.parent], check=True)
    return app


def texts(paths: list[str] | tuple[str, ...]) -> dict[str, str]:
    return dict.fromkeys(paths, "text")


def test_everything_but_what_no_process_needs(app: Path, write: Write) -> None:
    write(app, texts(LEFT_OUT + TAKEN))
    assert set(folder.read(app).files) == set(TAKEN)


def test_the_same_in_a_work_tree(repository: Path, write: Write) -> None:
    write(repository, texts(LEFT_OUT + TAKEN))
    assert set(folder.read(repository).files) == set(TAKEN)


def test_git_ignores_by_files_in_the_work_tree(
    repository: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repository.parent, {".gitignore": "*.log\n", ".git/info/exclude": "b.py\n"})
    write(repository, {".gitignore": "local/\n"} | texts(["a.log", "b.py", "local/c", "sub/d.log"]))
    write(tmp_path, {"config": f"[core]\nexcludesFile = {tmp_path}/everything\n"})
    write(tmp_path, {"everything": "*\n"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    assert set(folder.read(repository).files) == {".gitignore", "b.py"}


def test_what_git_tracks_is_taken_even_if_it_is_ignored(repository: Path, write: Write) -> None:
    write(repository, {".gitignore": "built/\n", "built/a.js": "", "b.py": ""})
    command = ["git", "-C", str(repository), "add", "--force", "--intent-to-add", "built"]
    subprocess.run(command, check=True)
    assert set(folder.read(repository).files) == {".gitignore", "built/a.js", "b.py"}


def test_what_is_deleted_is_not_taken(repository: Path, write: Write) -> None:
    write(repository, texts(["a.py", "b.py"]))
    subprocess.run(["git", "-C", repository, "add", "."], check=True)
    (repository / "a.py").unlink()
    assert set(folder.read(repository).files) == {"b.py"}


def test_repositories_inside_are_taken_too(repository: Path, write: Write) -> None:
    write(repository, texts(["a.py"]))
    subprocess.run(["git", "init", "--quiet", repository / "inner"], check=True)
    write(repository / "inner", {".gitignore": "*.log\n"} | texts(["b.py", "b.log"]))
    assert set(folder.read(repository).files) == {"a.py", "inner/.gitignore", "inner/b.py"}


def test_a_hook_of_another_repository_does_not_matter(
    repository: Path, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(repository, texts(["a.py"]))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    assert set(folder.read(repository).files) == {"a.py"}


def test_without_git_a_work_tree_is_refused(
    repository: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repository, texts(["a.py"]))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(folder.FolderError, match="git can't list it: git is not installed"):
        folder.read(repository)


def test_a_work_tree_that_git_refuses(repository: Path, write: Write) -> None:
    write(repository, texts(["a.py"]))
    shutil.rmtree(repository.parent / ".git")
    write(repository.parent, {".git": "nonsense"})
    with pytest.raises(git.GitError, match="invalid gitfile format"):
        git.listed(repository)


def test_nothing_at_all(app: Path, complaints: Complaints) -> None:
    said = "there is nothing in it that an app needs"
    assert complaints(app) == [f"app.path: '{app}' given; {said}"]


def test_nothing_that_git_does_not_ignore(repository: Path, write: Write) -> None:
    write(repository, texts(["a.py"]) | {"../.gitignore": "/chat/\n"})
    with pytest.raises(folder.FolderError, match="and git ignores the rest"):
        folder.read(repository)


def test_files_keep_whether_they_may_be_executed(app: Path, write: Write) -> None:
    write(app, texts(["run.sh", "a.py"]))
    (app / "run.sh").chmod(0o700)
    assert folder.read(app).executable == {"run.sh"}


def test_links_inside_are_links(app: Path, write: Write) -> None:
    write(app, texts(["data/v2/a.txt"]))
    (app / "data/current").symlink_to("v2")
    (app / "a.txt").symlink_to("data/current/a.txt")
    found = folder.read(app)
    assert found.links == {"data/current": "v2", "a.txt": "data/current/a.txt"}
    assert set(found.files) == {"data/v2/a.txt"}


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "sub/../../secret", "{app}/a.py"])
def test_links_that_a_host_has_no_target_for(
    app: Path, write: Write, complaints: Complaints, target: str
) -> None:
    write(app, texts(["a.py", "sub/b.py"]))
    target = target.format(app=app)
    (app / "link").symlink_to(target)
    assert complaints(app, command=["x"]) == [
        f"app.path: '{app}' given; link is a link to {target}, which a host doesn't have; "
        "link to something in the folder, by a relative path, or copy it there"
    ]


def test_a_link_through_a_link(app: Path, write: Write) -> None:
    write(app, texts(["a/b/c.py"]))
    (app / "short").symlink_to("a/b")
    (app / "a/b/up").symlink_to("../../../secret")
    with pytest.raises(folder.FolderError, match="a/b/up is a link"):
        folder.read(app)


def test_the_folder_may_be_a_link_itself(app: Path, write: Write, tmp_path: Path) -> None:
    write(app, texts(["a.py", "b/c.py"]))
    (app / "b/a.py").symlink_to("../a.py")
    (tmp_path / "current").symlink_to(app)
    assert folder.read(tmp_path / "current") == folder.read(app)


def test_sockets_and_pipes_are_left_out(
    app: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(app, texts(["a.py"]))
    os.mkfifo(app / "pipe")
    monkeypatch.chdir(app)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert set(folder.read(app).files) == {"a.py"}


def test_what_is_too_large(
    app: Path, write: Write, complaints: Complaints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LARGEST", 3_000_000)
    write(app, {"__main__.py": ""})
    with (app / "model.bin").open("wb") as file:
        file.truncate(5_000_000)
    assert complaints(app) == [
        f"app.path: '{app}' given; it has 5 MB, and a release may have 3; "
        "keep large files elsewhere, or out of it with a .gitignore"
    ]
