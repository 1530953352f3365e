"""The app as it is on this machine: its files, its lock, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wsdeploy import templates
from wsdeploy.release import code, folder, project, requirements
from wsdeploy.settings.section import Problem, refused

if TYPE_CHECKING:
    from wsdeploy.settings.app import App

APP = "app"
"""Where the app is in its release."""

DEPLOYMENT = (
    "deploy.py", "inventories", "tests/hosts", ".github",
    ".wsdeploy", "Procfile", "render.yaml", "fly.toml",
)  # fmt: skip
"""What deploys an app from its own folder, and is no part of it: who edits the inventory makes no
new release."""


CERTIFICATES = Path("certificates")
"""Where `wsdeploy.certificates` writes them, below the current folder."""
IGNORE_ALL = "*\n"
"""The .gitignore that it writes there."""


class SourceError(Exception):
    """The app can't be released as it is; `problems` has one line for each reason."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True)
class Source:
    """An app, the same for hosts of every kind."""

    tree: folder.Tree
    """Its files, relative to APP in the release."""
    main: str
    """What Python runs if there is no command: a file or a folder, relative to the release."""
    requirements: str | None
    """Its locked dependencies, as uv installs them, or None if it has no lock."""
    package: str | None
    """Name of the package that is built from its files, or None if they are all there is to it."""
    python: str = ""
    """The versions of Python that it says it needs, as in `requires-python`; any if empty."""


def of(app: App) -> Source:
    """Return the app as it was when this was first asked for. Raises SourceError.

    All hosts of a run get the same release, even if someone works on the app meanwhile.
    """
    known: Source | None = app.__dict__.get("_source")
    if known is None:
        known = read(app)
        object.__setattr__(app, "_source", known)
    return known


def read(app: App) -> Source:
    """Return the app that the settings name. Raises SourceError with all that is wrong with it."""
    path = Path(app.path)
    if "\0" in app.path or path.resolve() == Path("/"):
        raise SourceError([refused("app.path", app.path, "give the app's file, or its folder")])
    if not path.exists():
        wanted = f"no such file in {Path.cwd()}; give one that exists"
        raise SourceError([refused("app.path", app.path, wanted)])
    if not path.is_dir() and not (path.is_file() and path.suffix == ".py"):
        wanted = "give a Python file, a folder or a Python project"
        raise SourceError([refused("app.path", app.path, wanted)])
    home = path if path.is_dir() else path.parent
    tree = folder.Tree()
    try:
        described = project.read(home)
        # Of a project, its own build decides.
        exclude = [] if described and described.built else [*app.exclude]
        exclude += _deployment(path) if path.resolve() == Path.cwd() else ()
        tree = folder.read(path, exclude) if path.is_dir() else _alone(path)
    except (RuntimeError, OSError):
        wanted = "a folder in it leads back to itself; take that link out"
        raise SourceError([refused("app.path", app.path, wanted)]) from None
    except (folder.FolderError, project.ProjectError) as error:
        raise SourceError([refused("app.path", app.path, str(error))]) from None
    locked, needed, found = _lock(app, home, described)
    known = not found
    if path.is_dir():
        found += _incomplete(app, tree, described)
        if locked is None and described and described.depends:
            wanted = f"{home} has dependencies and no lock; make one with uv lock --project {home}"
            found.append(Problem("app.requirements", wanted))
    # A build may make modules that its folder has not.
    if app.command and not (path.is_dir() and described and described.built):
        found += code.command_problems(app.command, tree, needed, locked=known)
    found += _unfit(app, tree, needed, locked)
    if any(name == "wsapp.py" or name.startswith("wsapp/") for name in tree.files):
        wanted = "it has a module called wsapp, as this project's own for apps is; rename it"
        found.append(refused("app.path", app.path, wanted))
    if found:
        raise SourceError(found)
    return Source(
        tree=tree,
        main=APP if path.is_dir() else f"{APP}/{path.name}",
        requirements=needed,
        package=described.name if path.is_dir() and described and described.built else None,
        # Of a package that is built, its installation decides.
        python=described.python if path.is_dir() and described and not described.built else "",
    )


def _lock(
    app: App, home: Path, described: project.Project | None
) -> tuple[Path | None, str | None, list[Problem]]:
    """Return the app's lock, what it has, and what is wrong with it; None for what there isn't."""
    locked = (
        Path(app.requirements)
        if app.requirements is not None
        else requirements.find(home, described)
    )
    if app.requirements is None and requirements.ambiguous(home, described):
        wanted = f"{home} has uv.lock and requirements.txt; name the one that is the app's"
        return locked, None, [Problem("app.requirements", wanted)]
    if locked is None:
        name = requirements.unread(home)
        if name is None:
            return None, None, []
        wanted = (
            f"{home / name} is a lock that is not read here; write it as a requirements.txt "
            f"with hashes, for example with {requirements.COMPILE}"
        )
        return None, None, [Problem("app.requirements", wanted)]
    try:
        return locked, requirements.read(locked, home), []
    except requirements.LockError as error:
        return locked, None, [refused("app.requirements", str(locked), str(error))]


def _deployment(folder: Path) -> Iterator[str]:
    """Yield what deploys an app that is deployed from its own folder."""
    yield from DEPLOYMENT
    if templates.only_for_wsdeploy(folder / "templates"):
        yield "templates"
    if _are_fetched(folder / CERTIFICATES):
        yield str(CERTIFICATES)


def _are_fetched(folder: Path) -> bool:
    """Tell whether a folder has just what `wsdeploy.certificates` writes."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    ignored = folder / ".gitignore"
    return (
        ignored.is_file()
        and ignored.read_text(encoding="utf-8", errors="replace") == IGNORE_ALL
        and all(name == ignored.name or name.endswith(".pem") for name in names)
    )


def _unfit(
    app: App, tree: folder.Tree, needed: str | None, locked: Path | None
) -> Iterator[Problem]:
    """Yield what the app's code tells of why it can't start."""
    path = Path(app.path)
    main = "__main__.py" if path.is_dir() else path.name
    first = code.first_file(tree.files, main, app.command)
    if first is None:
        return
    shown = str(path / first) if path.is_dir() else app.path
    if problem := code.syntax_problem(shown, tree.files[first]):
        yield problem
    elif (
        needed is not None
        and code.is_empty(needed)
        and code.imports_websockets(tree.files[first])
        and not any("websockets" in name.split("/") for name in (*tree.files, *tree.links))
    ):
        wanted = (
            f"{shown} needs websockets, and {locked} has no package; "
            "lock what the app needs, or name its own lock"
        )
        yield Problem("app.requirements", wanted)


def _alone(file: Path) -> folder.Tree:
    """Return a file by itself. Python runs it, so whether it may be executed is all the same."""
    try:
        return folder.Tree({file.name: file.read_bytes()})
    except OSError as error:
        raise folder.FolderError(f"it can't be read: {error.strerror}") from None


def _incomplete(
    app: App, tree: folder.Tree, described: project.Project | None
) -> Iterator[Problem]:
    """Yield what a folder lacks to be run."""
    if app.command is None and "__main__.py" not in tree.files:
        module = described.name.replace("-", "_") if described else "chat"
        yield refused(
            "app.path",
            app.path,
            "it has no __main__.py to run; add one, or say what to run, such as "
            f'command=["python", "-m", "{module}"]',
        )
