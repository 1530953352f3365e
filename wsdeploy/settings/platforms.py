"""Platforms that run the service instead of hosts: what they are to be told beside `Settings`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import KW_ONLY
from typing import Annotated, ClassVar

from wsdeploy.settings.names import is_placeholder
from wsdeploy.settings.section import Problem, Range, Section, refused

PLACEHOLDER_WORDS = "that is a placeholder; give your own"
NAME_WORDS = "give 2 to 30 lower-case letters, digits and hyphens, the first one a letter"


class Platform(Section):
    """What every platform can be told."""

    title: ClassVar[str]
    """The platform's name."""

    _: KW_ONLY
    app: str | None = None
    """Name of the app there, which on most platforms nobody else may have; None takes
    `Settings.name`."""
    instances: Annotated[int, Range(1, 100)] = 1
    """How many instances run, each with one process: dynos, machines, containers. With one,
    there may be a moment without any while a release replaces it."""
    settle: Annotated[float, Range(0, 15, "seconds")] = 5
    """Seconds after SIGTERM for which an instance still takes connections, as the platform's
    router may not know yet. They come before `App.drain`, and count for the platform's limit."""
    python: str = "3.13"
    """Python's version there, as in 3.13; the platform takes its newest patch."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if self.app is not None and not re.fullmatch(r"[a-z][a-z0-9-]{1,29}", self.app):
            yield refused("app", self.app, NAME_WORDS)
        if not re.fullmatch(r"3\.(1[1-9]|[2-9][0-9])", self.python):
            yield refused("python", self.python, "give a version from 3.11 on, as in 3.13")


class Heroku(Platform):
    """Heroku: built from git, a dyno for each instance."""

    title = "Heroku"


class Render(Platform):
    """Render: built from git by a Blueprint, `render.yaml`."""

    title = "Render"

    _: KW_ONLY
    settle: Annotated[float, Range(0, 15, "seconds")] = 0
    """Seconds after SIGTERM for which an instance still takes connections. Render sends SIGTERM
    60 s after its router has switched to the new instance, so none are needed."""
    plan: str = "starter"
    """Instance type; not `free`, which has no time for a drain and cuts connections."""
    region: str | None = None
    """Region, such as frankfurt; None takes Render's default."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from super().problems()
        if self.plan == "free":
            wanted = "it can't be told how long a drain takes; give a paid one, such as starter"
            yield refused("plan", self.plan, wanted)
        yield from _word_problems(self, "plan", "region")


class Fly(Platform):
    """Fly.io: built by a buildpack, a machine for each instance."""

    title = "Fly"

    _: KW_ONLY
    region: str | None = None
    """Primary region, such as ams; None leaves it to Fly."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from super().problems()
        yield from _word_problems(self, "region")


class Koyeb(Platform):
    """Koyeb: built from GitHub by a buildpack; what no file can say is said by a command."""

    title = "Koyeb"

    repository: str
    """The project on GitHub, as in github.com/your-company/chat."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from super().problems()
        if not re.fullmatch(r"github\.com/[\w.-]+/[\w.-]+", self.repository, re.ASCII):
            wanted = "give it as in github.com/your-company/chat"
            yield refused("repository", self.repository, wanted)
        elif self.repository.startswith("github.com/your-company/"):
            yield refused("repository", self.repository, PLACEHOLDER_WORDS)


class Dokku(Platform):
    """Dokku on a machine of one's own: built from git, a container for each instance."""

    title = "Dokku"

    host: str
    """Where Dokku is, as in dokku.your-company.com."""
    _: KW_ONLY
    settle: Annotated[float, Range(0, 15, "seconds")] = 2
    """Seconds after SIGTERM for which an instance still takes connections. Dokku sends SIGTERM when
    its proxy has switched to the new containers."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from super().problems()
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.:-]*", self.host):
            yield refused("host", self.host, "give a host name or an address")
        elif is_placeholder(self.host.partition(":")[0]):
            yield refused("host", self.host, PLACEHOLDER_WORDS)


PLATFORMS: tuple[type[Platform], ...] = (Heroku, Render, Fly, Koyeb, Dokku)


def _word_problems(section: Section, *names: str) -> Iterator[Problem]:
    for name in names:
        value = getattr(section, name)
        if value is not None and not re.fullmatch(r"[a-z0-9_-]+( [a-z0-9_-]+)?", value):
            yield refused(name, value, "give a name as the platform spells it")
