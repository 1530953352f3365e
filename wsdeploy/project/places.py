"""The places that a new project can be for, and what its files say of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ALL = {"deploy.py": "deploy.py", "config.py": "config.py", ".gitignore": "gitignore"}
PYPROJECT = {"pyproject.toml": "pyproject.toml"}
"""Paths in a project, and the templates that they are made from."""


@dataclass(frozen=True)
class Place:
    """A place that services run in."""

    inventory: str
    """The path of its inventory in a project."""
    skeleton: Mapping[str, str]
    """Paths in a project, and the templates that they are made from."""
    edit: tuple[str, ...] = ()
    """What its inventory has to be told, beside the domain and the app, and can't be guessed."""
    title: str = ""
    """Of a platform."""
    instance: str = "instance"
    """What the platform calls one."""
    drain: str | None = None
    """Why a drain is short there."""
    asks: str = "a command sets the value"
    """How secrets get there."""
    shared: bool = False
    """Whether an app's name is shared with everybody else's."""
    first: str | None = None
    """The first argument of its class, as Python, with what to edit there."""

    @property
    def is_platform(self) -> bool:
        """Whether it is one of the platforms, for which files are written into the project."""
        return bool(self.title)

    @property
    def has_project(self) -> bool:
        """Whether a uv.lock, with what deploys, may stand beside the app's own lock."""
        return "pyproject.toml" in self.skeleton


def _platform(title: str, *, locks: bool = True, **words: object) -> Place:
    """Return a platform. locks: whether its builder can be told which of two locks to take."""
    name = title.lower()
    skeleton = {
        **ALL,
        **(PYPROJECT if locks else {}),
        f"inventories/{name}.py": "platform.py",
        f".github/workflows/{name}.yml": "platform.yml",
    }
    return Place(f"inventories/{name}.py", skeleton, title=title, **words)  # type: ignore[arg-type]


HOSTS = Place(
    "inventories/prod.py",
    {
        "deploy.py": "deploy.py",
        "config.py": "config.py",
        "inventories/prod.py": "prod.py",
        "inventories/sandbox.py": "sandbox.py",
        "templates/README.md": "templates.md",
        "tests/hosts/conftest.py": "conftest.py",
        "pyproject.toml": "pyproject.toml",
        ".gitignore": "gitignore",
        ".github/workflows/deploy.yml": "deploy.yml",
    },
)
KUBERNETES = Place(
    "inventories/kubernetes.py",
    {
        **ALL,
        **PYPROJECT,
        "inventories/kubernetes.py": "kubernetes.py",
        "inventories/base.sh": "base.sh",
        ".github/workflows/kubernetes.yml": "kubernetes.yml",
    },
    edit=("image",),
)
PLACES: Mapping[str, Place] = {
    "hosts": HOSTS,
    "kubernetes": KUBERNETES,
    "heroku": _platform(
        "Heroku",
        instance="dyno",
        drain="Heroku kills a dyno after 30 s; 13 are for clients that do not answer",
        shared=True,
        edit=("name",),
    ),
    "render": _platform("Render", asks="Render asks for the value"),
    "fly": _platform("Fly", instance="machine", shared=True, edit=("name",)),
    "koyeb": _platform(
        "Koyeb",
        locks=False,
        drain="how long Koyeb waits is not known: 30 s are assumed",
        first='Koyeb("github.com/your-company/chat", instances=2),  # EDIT: where the project is',
        edit=("repository",),
    ),
    "dokku": _platform(
        "Dokku",
        locks=False,
        instance="container",
        first='Dokku("dokku.your-company.com", instances=2),  # EDIT: where Dokku is',
        edit=("host",),
    ),
}
"""By the names that `wsdeploy init --to` knows them by."""
