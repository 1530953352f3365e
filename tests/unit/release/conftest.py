"""Apps to release, and a place for releases that no other test sees."""

import sys

import pytest

from wsdeploy import App, SelfSigned, Settings
from wsdeploy.plan.host.survey import Survey
from wsdeploy.release import build, contents, source

HERE = {
    "version": "12",
    "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    "architecture": "x86_64",
}


@pytest.fixture
def write():
    """Write files below a folder: `write(folder, {"a/b.py": "text"})`."""

    def files(folder, texts):
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    return files


@pytest.fixture
def settings_of():
    """Settings of an app, as an inventory has them."""

    def make(path, **app):
        return Settings("ws.a-company.com", App(str(path), **app), SelfSigned())

    return make


@pytest.fixture
def release_of(settings_of, tmp_path, monkeypatch):
    """The release of an app for this machine's Python, but for what a test changes."""
    monkeypatch.setattr(build, "cache", lambda: tmp_path / "releases")

    def make(path, app=None, **system):
        return contents.release(settings_of(path, **(app or {})), Survey(system=HERE | system))

    return make


@pytest.fixture
def complaints(settings_of):
    """What is wrong with an app, as a user reads it."""

    def lines(path, **app):
        with pytest.raises(source.SourceError) as raised:
            source.of(settings_of(path, **app).app)
        return [str(problem) for problem in raised.value.problems]

    return lines
