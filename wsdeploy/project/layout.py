"""The files of a new project."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from wsdeploy import __version__, resources
from wsdeploy.project.entry import Entry, literal
from wsdeploy.project.places import PLACES, Place
from wsdeploy.settings.names import is_placeholder
from wsdeploy.settings.service import TAKEN_NAMES

REMOTE = re.compile(
    r"(?:[a-z+]+://[^/]+/|[^/:]+:)"  # https://HOST/ or git@HOST:
    r"(?:~?[\w.-]+/)+([\w.-]+?)(?:\.git)?/?"
)
"""A remote of git's that has an owner before the name of the repository."""

ECHO = Entry("files/app.py", "file")
"""The app that a project begins with which has none."""

SANDBOX_DOMAIN = "sandbox.test"
"""What the names of sandbox hosts end with. `wsdeploy_sandbox` itself only loads on Linux."""


@dataclass(frozen=True)
class Project:
    """What a new project is to be like."""

    name: str
    """Of the service."""
    app: Entry = ECHO
    domain: str | None = None
    email: str | None = None
    """For the certificate's authority."""
    hosts: tuple[str, ...] = ()
    ssh_user: str = "root"
    proxy: str = "nginx"
    secrets: tuple[str, ...] = ()
    """Names of variables that are set on the machine that deploys."""
    to: str = "hosts"
    """Where the service is to run, one of PLACES."""

    @property
    def place(self) -> Place:
        """Where the service is to run."""
        return PLACES[self.to]

    @property
    def given(self) -> bool:
        """Whether the app is one that was there before."""
        return self.app is not ECHO

    @property
    def to_edit(self) -> tuple[str, ...]:
        """What its inventory still has to be told."""
        missing = {
            "domain": self.domain is None,
            "app": not self.app.complete,
            "email": self.email is None and not self.place.is_platform,
            "host": self.to == "hosts" and not self.hosts,
        }
        return (*(name for name, is_missing in missing.items() if is_missing), *self.place.edit)

    @property
    def namespace(self) -> str:
        """The namespace of a cluster that it is put into."""
        return self.name if self.name != "ws" else "chat"

    @property
    def imports(self) -> str:
        """What the inventory of a platform imports."""
        names = {"App", "SelfSigned", "Settings", self.place.title}
        return ", ".join([*sorted(names | ({"FromEnv"} if self.secrets else set())), "platform"])

    @property
    def runner(self) -> str:
        """What stands before a command where nothing is installed."""
        if self.place.has_project:
            return "uv run --locked"
        return f"uv run --no-project --with '{requirement()}'"

    def files(self) -> dict[str, str]:
        """Return the texts of its files, by their paths."""
        context = {
            "needs": "files/requirements.in" if not self.given else "its own lock",
            "requirement": requirement(),
            "given": self.given,
            "literal": literal,
            "place": self.place,
            "namespace": self.namespace,
            "imports": self.imports,
            "runner": self.runner,
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
        }
        environment = _environment()
        found = {
            path: environment.get_template(f"{template}.j2").render(context)
            for path, template in self.place.skeleton.items()
        }
        if not self.given:
            for file in sorted((resources.FOLDER / "files").iterdir()):
                if file.is_file():
                    found[f"files/{file.name}"] = file.read_text(encoding="utf-8")
        return found


@cache
def _environment() -> Environment:
    return Environment(  # noqa: S701 - Python and configuration files, not HTML
        loader=PackageLoader("wsdeploy.project", "skeleton"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@dataclass(frozen=True)
class Written:
    """What became of a project's files."""

    new: tuple[str, ...]
    kept: tuple[str, ...]
    """Those that were there with another content."""
    advice: tuple[str, ...]
    """What to add to some of those, a line for each."""
    lacks_wsdeploy: bool = False
    """Whether the project that was there does not depend on wsdeploy yet."""


class LayoutError(Exception):
    """The message says what is in the way of a project, of which nothing was written."""


def write(folder: Path, files: Mapping[str, str]) -> Written:
    """Write those of the files that are not there yet. Raises LayoutError and OSError."""
    try:
        found = _sort(folder, files)
    except OSError as error:
        raise LayoutError(f"{error.filename}: {error.strerror}") from None
    for path in found.new:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(files[path], encoding="utf-8")
    return found


def _sort(folder: Path, files: Mapping[str, str]) -> Written:
    """Return what is to become of each file, before the first is written."""
    new, kept, advice = [], [], []
    lacks_wsdeploy = False
    # A folder that is there is the app's own, whatever it is for.
    taken = {"templates"} if (folder / "templates").is_dir() else set()
    for path, text in files.items():
        target = folder / path
        if path.partition("/")[0] in taken:
            continue
        if target.exists() or target.is_symlink():
            if not target.is_file() or target.read_bytes() != text.encode():
                kept.append(path)
                advice += _advice(path, target)
                lacks_wsdeploy |= path == "pyproject.toml" and "wsdeploy" not in _text(target)
            continue
        new.append(path)
    for place in dict.fromkeys((folder / path).parent for path in new):
        _check_folder(folder, place)
    return Written(tuple(new), tuple(kept), tuple(advice), lacks_wsdeploy)


def _check_folder(project: Path, place: Path) -> None:
    """Raise LayoutError unless files can be written in a folder, which may have to be made."""
    there = next(each for each in (place, *place.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise LayoutError(f"{there}: a folder has to be here")
    if not there.resolve().is_relative_to(project.resolve()) and project.exists():
        raise LayoutError(f"{there}: leads out of the project; make it a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise LayoutError(f"{there}: you may not write here")


def _advice(path: str, target: Path) -> list[str]:
    """Return what a file of the user's needs for the rest to work."""
    text = _text(target)
    if path == ".gitignore":
        missing = [each for each in ("/certificates/", "pyinfra-debug.log") if each not in text]
        return [f".gitignore: add {' and '.join(missing)}"] if missing else []
    if path == "config.py" and "start.begin()" not in text:
        return [
            "config.py: pyinfra reads it, too; add: from wsdeploy.deploy import start; "
            "start.begin()"
        ]
    if path == "deploy.py" and "wsdeploy" not in text:
        return [
            "deploy.py: add: from wsdeploy.deploy.service import service; service()",
        ]
    return []


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def requirement() -> str:
    """Return what a project that deploys depends on: this version, up to the next minor one."""
    major, minor, *_ = __version__.split(".")
    return f"wsdeploy[checks]>={major}.{minor},<{major}.{int(minor) + 1}"


def service_name(folder: Path) -> str:
    """Return a name for the service: the repository's, else the folder's, if it can be one."""
    # What has no owner before it may be a token, or a query that has one.
    remote = REMOTE.fullmatch(git(folder, "remote", "get-url", "origin"))
    own = git(folder, "rev-parse", "--show-toplevel") == str(folder.resolve())
    given = remote[1] if own and remote else ""
    for each in (given, folder.resolve().name):
        name = re.sub(r"[^a-z0-9]+", "-", each.lower()).strip("-")[:20].strip("-")
        if re.match(r"[a-z]", name) and name not in TAKEN_NAMES:
            return name
    return "ws"


def email(folder: Path) -> str | None:
    """Return the address that git knows its user by, if a certificate's authority takes it."""
    found = git(folder, "config", "user.email")
    domain = found.rpartition("@")[2]
    if not re.fullmatch(r"[^@\s\"\\]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", found):
        return None
    unreachable = (
        is_placeholder(domain) or "noreply" in found or domain.endswith((".local", ".lan"))
    )
    return None if unreachable else found


def git(folder: Path, *words: str) -> str:
    """Return what git says in a folder, or nothing."""
    place = next(each for each in (folder, *folder.resolve().parents) if each.is_dir())
    try:
        done = subprocess.run(
            ("git", "-C", str(place), *words), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
