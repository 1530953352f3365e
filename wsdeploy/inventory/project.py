"""The group of an inventory whose service runs on a platform: this machine, and a project."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsdeploy import command_line
from wsdeploy.inventory.groups import Group
from wsdeploy.platforms import commands, files, verdicts, written
from wsdeploy.platforms.start import HOME, WRITTEN, Code
from wsdeploy.release import git, source
from wsdeploy.resources import PACKAGES
from wsdeploy.settings.app import App
from wsdeploy.settings.platforms import Dokku, Fly, Heroku, Koyeb, Platform, Render
from wsdeploy.settings.section import Problem, refused
from wsdeploy.settings.service import Settings, SettingsError

MACHINE = "@local"
"""pyinfra's name for the machine that it runs on."""

LOCKS = ("uv.lock", "poetry.lock", "Pipfile.lock")
"""Locks that builders of platforms look for in a project's folder, beside requirements.txt."""

USES_HARNESS = re.compile(rb"^\s*(?:from|import)\s+wsapp\b", re.MULTILINE)


@dataclass(frozen=True)
class Project:
    """A project that is to be deployed to a platform, and what that needs."""

    settings: Settings
    platform: Platform
    folder: Path
    wanted: Mapping[str, str]
    """Files by their paths in the folder."""

    def found(self) -> dict[str, str]:
        """Return those of the wanted files, and of those of an earlier run, that are there."""
        texts = {path: _text(self.folder / path) for path in self.paths()}
        return {path: text for path, text in texts.items() if text is not None}

    def paths(self) -> list[str]:
        """Return where files are, or were, written to, from the project's folder."""
        note = _text(self.folder / written.NOTE) or ""
        return sorted({*self.wanted, *written.noted(note), written.NOTE})

    def notes(self) -> list[str]:
        """Return a line for each setting that the platform keeps otherwise, or not at all."""
        return [*verdicts.notes(self.settings, self.platform)]

    def report(self) -> list[str]:
        """Return what to say at the end of a run: which files it wrote, and what to do next."""
        title, found = self.platform.title, self.found()
        done = {
            "new or changed": _shown([*written.changes(self.wanted, found)]),
            "gone": _shown(written.stale(self.wanted, found)),
        }
        what = "; ".join(f"{', '.join(paths)} {how}" for how, paths in done.items() if paths)
        ignored = _shown(git.ignored(self.folder, [*self.wanted, written.NOTE]))
        left_out = f"{', '.join(ignored)}: git leaves this out, and {title} gets what git has; "
        return [
            f"{self.settings.name} on {title}: {what or 'nothing to do'}",
            *([f"{left_out}change .gitignore, or git add --force"] if ignored else []),
            "next: commit these files, and run what you have not run before:",
            *(f"  {each}" for each in commands.commands(self.settings, self.platform)),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return what `pyinfra INVENTORY debug-inventory` shows."""
        return {
            "settings": self.settings.to_json(),
            "platform": self.platform.to_json(),
            "files": sorted(self.wanted),
        }


def _shown(paths: Sequence[str]) -> list[str]:
    """Return paths as they are said: those in wsdeploy's own folder as that."""
    shown = [path for path in paths if not path.startswith(f"{HOME}/")]
    return [*shown, f"{HOME}/"] if len(shown) < len(paths) else shown


def platform(settings: Settings, where: Platform) -> Group:
    """Return the group of an inventory for a platform: this machine, which writes its files.

    where: the platform, as in `Heroku(instances=2)`. Its files are written into the folder that
    pyinfra is started in, which has to be the project that the platform builds, with the app in it.

    Raises SettingsError with every problem of the settings, of the app's files, of what the
    platform can't keep, and of files that somebody else has written.
    """
    name = command_line.inventory(sys.argv[1:]) or "inventory"
    found = [*settings.all_problems(), *where.all_problems()]
    if not command_line.deploys(sys.argv[1:]):
        raise SystemExit(f"{name} is for {where.title}: {_instead(where, settings)}")
    sound = not found
    # What is wrong in itself is said once.
    known = {problem.setting for problem in found}
    found += [it for it in verdicts.problems(settings, where) if it.setting not in known]
    folder = Path.cwd()
    code = None
    if isinstance(settings.app, App) and settings.app.path:
        try:
            code = _code(source.of(settings.app), settings.app, folder, where)
        except source.SourceError as error:
            found += error.problems
    if not sound or code is None:
        raise SettingsError(name, found)
    project = Project(settings, where, folder, files.planned(settings, where, code))
    # What is refused is said whole, with what is in the way of the files.
    odd = [*_odd_places(folder, project.paths())]
    found += odd or written.problems(project.wanted, project.found())
    if found:
        raise SettingsError(name, found)
    return [MACHINE], {"platform": project}


INSTEAD: Mapping[str, Mapping[type[Platform], str]] = {
    "wsdeploy.rollback": {
        Heroku: "heroku rollback --app APP",
        Render: "Rollback beside an earlier deploy in its dashboard",
        Fly: "fly releases --image, and fly deploy --image with an earlier one",
        Koyeb: "koyeb services redeploy, after git revert",
        Dokku: "git revert, and git push",
    },
    "wsdeploy.restart": {
        Heroku: "heroku restart --app APP",
        Render: "Restart service in its dashboard",
        Fly: "fly apps restart APP",
        Koyeb: "koyeb services redeploy APP/APP",
        Dokku: "ssh dokku@HOST ps:restart APP",
    },
    "wsdeploy.releases": {
        Heroku: "heroku releases --app APP",
        Render: "Events in its dashboard",
        Fly: "fly releases --app APP",
        Koyeb: "koyeb deployments list --app APP",
        Dokku: "ssh dokku@HOST ps:report APP",
    },
    "wsdeploy.remove": {
        Heroku: "heroku apps:destroy APP",
        Render: "Delete service in its dashboard",
        Fly: "fly apps destroy APP",
        Koyeb: "koyeb apps delete APP",
        Dokku: "ssh dokku@HOST apps:destroy APP",
    },
}
"""What does on each platform what a command of wsdeploy's does on hosts."""


def _instead(where: Platform, settings: Settings) -> str:
    """Return what to do in place of what pyinfra was told."""
    words = [word for word in sys.argv[1:] if word.startswith("wsdeploy.")]
    command = words[0] if words else ""
    own = INSTEAD.get(command, {}).get(type(where))
    if own is None:
        return f"deploy.py writes its files; {command or 'anything else'} is for hosts"
    told = own.replace("APP", files.app_name(settings, where))
    told = told.replace("HOST", str(getattr(where, "host", "")))
    return f"in place of {command}, {told}"


def _code(app: source.Source, settings: App, folder: Path, where: Platform) -> Code:
    """Return the app as a platform gets it. Raises SourceError."""
    path = Path(settings.path).resolve()
    problems = []
    if not path.is_relative_to(folder.resolve()):
        wanted = f"it is outside of {folder}, which is all that {where.title} gets; move it there"
        problems.append(refused("app.path", settings.path, wanted))
    if app.package is not None:
        wanted = (
            f"it is a package that is built, and {where.title} runs files; give the folder of its "
            "code, and its lock as app.requirements"
        )
        problems.append(refused("app.path", settings.path, wanted))
    harness = any(map(USES_HARNESS.search, app.tree.files.values()))
    if harness and app.requirements is None:
        wanted = f"{settings.path} uses wsapp, which needs websockets; make a lock that has it"
        problems.append(Problem("app.requirements", wanted))
    locks = tuple(name for name in LOCKS if (folder / name).is_file())
    problems += _lock_problems(folder, where, locks)
    if problems:
        raise source.SourceError(problems)
    main = path.relative_to(folder.resolve())
    inside = main if path.is_dir() else main.parent
    return Code(
        main=str(main),
        folder=str(inside),
        requirements=_requirements(app, settings, folder, inside),
        harness=_harness() if harness else {},
        other_locks=() if _left_out(folder, locks) else locks,
    )


def _lock_problems(folder: Path, where: Platform, locks: Sequence[str]) -> Iterator[Problem]:
    """Yield why locks beside requirements.txt are in the way of a platform."""
    if locks and isinstance(where, Koyeb | Dokku):
        wanted = (
            f"there is a {locks[0]} in {folder} too, and {where.title} might install from that; "
            "start pyinfra in a folder without one"
        )
        yield Problem("app.requirements", wanted)
    ignored = _text(folder / files.SLUGIGNORE)
    if isinstance(where, Heroku) and ignored is not None and f"# {WRITTEN}" not in ignored:
        for name in locks:
            if name not in ignored.splitlines():
                wanted = f"add a line {name}; Heroku's buildpack ends where it finds two locks"
                yield Problem(files.SLUGIGNORE, wanted)


def _left_out(folder: Path, locks: Sequence[str]) -> bool:
    """Tell whether the project itself has told Heroku to leave locks out."""
    ignored = (_text(folder / files.SLUGIGNORE) or "").splitlines()
    return f"# {WRITTEN}" not in ignored and {*locks} <= {*ignored}


def _requirements(app: source.Source, settings: App, folder: Path, inside: Path) -> str | None:
    """Return the text of the lock to write; None if it is where platforms look for it."""
    lock = Path(settings.requirements or folder / inside / "requirements.txt")
    if app.requirements is not None and lock.resolve() == (folder / "requirements.txt").resolve():
        # An app right in the project may have none but the one that an earlier run has written.
        own = app.requirements.removeprefix(files.REQUIREMENTS_HEAD)
        return own if own != app.requirements else None
    # What builds knows a Python project by this file.
    return app.requirements or "# It has no dependencies.\n"


def _harness() -> dict[str, str]:
    return {each.name: each.read_text() for each in sorted((PACKAGES / "wsapp").glob("*.py"))}


def _odd_places(folder: Path, paths: Sequence[str]) -> Iterator[Problem]:
    """Yield what is in the way of writing files into the project, and nowhere else."""
    seen = set()
    for path in paths:
        place = folder
        for part in Path(path).parts:
            place /= part
            shown = str(place.relative_to(folder))
            if shown in seen:
                continue
            if place.is_symlink():
                seen.add(shown)
                yield Problem(shown, "it is a link, which may lead out of the project; delete it")
            elif place.exists() and place.is_dir() == (shown == path):
                seen.add(shown)
                kind = "a folder, and a file is" if place.is_dir() else "a file, and a folder is"
                yield Problem(shown, f"it is {kind} to be written there; move it away")


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return None
