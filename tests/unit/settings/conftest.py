"""Settings as an inventory file makes them, and the lines that a user would read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsdeploy import App, SelfSigned, Settings, SettingsError
from wsdeploy.inventory.local_files import check

MakeSettings = Callable[..., Settings]
Lines = Callable[[Settings], list[str]]

DOMAIN = "ws.a-company.com"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with an app in it; paths in settings are relative to it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("")
    return tmp_path


@pytest.fixture
def make() -> MakeSettings:
    """Good settings, but for what a test changes."""

    def settings(**changes: Any) -> Settings:
        good: dict[str, Any] = {"domain": DOMAIN, "app": App("app.py"), "tls": SelfSigned()}
        return Settings(**good | changes)

    return settings


@pytest.fixture
def lines() -> Lines:
    """The lines that `check` ends with, without the heading."""

    def report(settings: Settings) -> list[str]:
        with pytest.raises(SettingsError) as raised:
            check(settings)
        head, *found = str(raised.value).splitlines()
        assert f"{len(found)} problem" in head
        assert all(line.startswith("  ") for line in found)
        return [line[2:] for line in found]

    return report
