"""Apps to release, and a place for releases that no other test sees."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsdeploy import App, SelfSigned, Settings
from wsdeploy.plan.host.survey import Survey
from wsdeploy.release import build, contents, source

Write = Callable[[Path, dict[str, str]], Path]
MakeSettings = Callable[..., Settings]
MakeRelease = Callable[..., contents.Release]
Complaints = Callable[..., list[str]]

HERE = {
    "version": "12",
    "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    "architecture": "x86_64",
}


@pytest.fixture
def write() -> Write:
    """Write files below a folder: `write(folder, {"a/b.py": "text"})`."""

    def files(folder: Path, texts: dict[str, str]) -> Path:
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    return files


@pytest.fixture
def settings_of() -> MakeSettings:
    """Settings of an app, as an inventory has them."""

    def make(path: Path | str, **app: Any) -> Settings:
        return Settings("ws.a-company.com", App(str(path), **app), SelfSigned())

    return make


@pytest.fixture
def release_of(
    settings_of: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeRelease:
    """The release of an app for this machine's Python, but for what a test changes."""
    monkeypatch.setattr(build, "cache", lambda: tmp_path / "releases")

    def make(path: Path, app: dict[str, Any] | None = None, **system: str) -> contents.Release:
        return contents.release(settings_of(path, **(app or {})), Survey(system=HERE | system))

    return make


@pytest.fixture
def complaints(settings_of: MakeSettings) -> Complaints:
    """What is wrong with an app, as a user reads it."""

    def lines(path: Path | str, **app: Any) -> list[str]:
        with pytest.raises(source.SourceError) as raised:
            source.of(settings_of(path, **app).app)
        return [str(problem) for problem in raised.value.problems]

    return lines
