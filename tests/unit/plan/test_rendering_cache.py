"""Compiled templates are kept where that is possible, and nothing depends on it."""

from pathlib import Path

import pytest
from jinja2 import FileSystemBytecodeCache
from jinja2.bccache import Bucket

from wsdeploy.plan.host import render


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return tmp_path


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    (tmp_path / "one.j2").write_text("{{ 1 + 1 }}")
    return tmp_path


def test_compiled_templates_are_kept(cache: Path, templates: Path) -> None:
    assert render.environment(templates).get_template("one.j2").render() == "2"
    assert len(list(cache.rglob("__jinja2_*"))) == 1


def test_a_full_disk_is_no_error(
    cache: Path, templates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: render._Bytecode, bucket: Bucket) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileSystemBytecodeCache, "dump_bytecode", full)
    assert render.environment(templates).get_template("one.j2").render() == "2"


def kept_in() -> Path:
    cache = render.environment().bytecode_cache
    assert isinstance(cache, FileSystemBytecodeCache)
    return Path(cache.directory)


def test_a_relative_folder_is_ignored(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert kept_in().is_relative_to(cache / "home")


def test_nobody_else_may_write_there(cache: Path) -> None:
    kept_in().chmod(0o770)
    assert render.environment().bytecode_cache is None
