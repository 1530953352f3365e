"""Settings for platforms, and projects that have an app."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsdeploy.inventory.project import Project, platform
from wsdeploy.settings import App, SelfSigned, Settings
from wsdeploy.settings.platforms import PLATFORMS, Dokku, Fly, Heroku, Koyeb, Platform, Render

ECHO = (
    "from wsapp import run\n"
    "async def handler(ws):\n"
    "    async for message in ws:\n"
    "        await ws.send(message)\n"
    "run(handler)\n"
)
LOCK = "websockets==17.0 \\\n    --hash=sha256:00\n"
MADE: dict[type[Platform], Platform] = {
    Heroku: Heroku(instances=2),
    Render: Render(instances=2, region="frankfurt"),
    Fly: Fly(instances=2, region="ams"),
    Koyeb: Koyeb("github.com/a-company/chat", instances=2),
    Dokku: Dokku("dokku.a-company.com", instances=2),
}

MakeSettings = Callable[..., Settings]
MakeProject = Callable[..., Project]

every_platform = pytest.mark.parametrize(
    "where", [MADE[each] for each in PLATFORMS], ids=[each.title for each in PLATFORMS]
)


def made(app: dict[str, Any] | None = None, **more: Any) -> Settings:
    """Return settings, with some of the app's and of the service's."""
    given: dict[str, Any] = {"name": "chat", "tls": SelfSigned(), **more}
    return Settings("ws.a-company.com", App(**{"path": "chat/app.py", **(app or {})}), **given)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProject:
    """A project with an echo server in chat/app.py, for a platform."""
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat/app.py").write_text(ECHO)
    (tmp_path / "chat/requirements.txt").write_text(LOCK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pyinfra", "inventories/prod.py", "deploy.py"])

    def make(where: Platform, settings: Settings | None = None) -> Project:
        [_], data = platform(settings or made(), where)
        found: Project = data["platform"]
        return found

    return make


def write(found: Project) -> None:
    """Write the files of a project."""
    for path, text in found.wanted.items():
        file = found.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
