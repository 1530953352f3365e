"""What an app's own files tell of whether it can start at all. Nothing of it is run."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence

from wsdeploy.plan.host.survey import DEBIAN_PYTHON
from wsdeploy.release.folder import Tree
from wsdeploy.settings.section import Problem, refused

NEWEST = max(tuple(map(int, version.split("."))) for version in DEBIAN_PYTHON.values())
NEWER = re.compile(r"^\s*type\s+\w+|\b(?:def|class)\s+\w+\s*\[|\b[rR]?[fF][rR]?['\"]", re.MULTILINE)
"""Where Python 3.13 may read what 3.11 doesn't: type statements and parameters, f-strings."""


def first_file(
    files: Mapping[str, bytes], main: str | None, command: Sequence[str] | None
) -> str | None:
    """Return the file that starts an app, or None if that is none of its own, or not known.

    files: the app's, by their path in its folder. main: what is run without a command.
    """
    if command is None:
        return main if main in files else None
    module = command_module(command)
    if module is None:
        return None
    path = module.replace(".", "/")
    names = (f"{path}.py", f"{path}/__main__.py")
    return next((each for name in names for each in (name, f"src/{name}") if each in files), None)


def command_module(command: Sequence[str]) -> str | None:
    """Return the module that a command runs by `python -m`, or None."""
    return command[2] if [*command[:2]] == ["python", "-m"] and len(command) > 2 else None


def syntax_problem(path: str, code: bytes) -> Problem | None:
    """Return what keeps Python from reading a file, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code, path)
    except SyntaxError as error:
        # An older Python than the hosts may have is no judge of what is new.
        if sys.version_info[:2] < NEWEST and NEWER.search(code.decode(errors="replace")):
            return None
        where = f"{path}, line {error.lineno}" if error.lineno else path
        return Problem("app.path", f"{where}: {error.msg}; Python can't read it")
    except ValueError as error:
        return Problem("app.path", f"{path}: {error}; Python can't read it")
    return None


def imports_websockets(code: bytes) -> bool:
    """Tell whether a module needs websockets whenever it is loaded: in no `try`, and no function.

    wsapp needs it, too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(code).body
    except (SyntaxError, ValueError):
        return False
    names = {alias.name for each in body if isinstance(each, ast.Import) for alias in each.names}
    names |= {each.module or "" for each in body if isinstance(each, ast.ImportFrom)}
    return any(name.partition(".")[0] in ("websockets", "wsapp") for name in names)


def is_empty(requirements: str) -> bool:
    """Tell whether a lock has no package at all."""
    lines = (line.strip() for line in requirements.splitlines())
    return not any(line and not line.startswith(("#", "-")) for line in lines)


def command_problems(
    command: Sequence[str], tree: Tree, requirements: str | None, *, locked: bool
) -> Iterator[Problem]:
    """Yield what a command of Python's names that a release does not have.

    locked: whether it is known what the app's lock has; None is no lock.
    """
    program, *words = command
    if program != "python" or not words:
        return
    module, script = command_module(command), words[0]
    if module is not None:
        if locked and not _may_be_module(module.partition(".")[0], tree, requirements):
            wanted = f"neither the app nor its lock has a module {module}; name the one to run"
            yield refused("command", module, wanted).inside("app")
    elif script.startswith("$WS_APP/"):
        path = script.removeprefix("$WS_APP/")
        names = {path, f"{path}/__main__.py"}
        if names.isdisjoint((*tree.files, *tree.links)) and not path.startswith(
            tuple(f"{link}/" for link in tree.links)
        ):
            wanted = "the app has no such file; name the one to run"
            yield refused("command", script, wanted).inside("app")
    elif not script.startswith(("-", "/", "$", "@")) and script in tree.files:
        wanted = f"processes start in another folder; say $WS_APP/{script}"
        yield refused("command", script, wanted).inside("app")


def _may_be_module(name: str, tree: Tree, requirements: str | None) -> bool:
    """Tell whether a release may have a module; false only where it can't.

    A package may have modules of any name, so only a lock whose packages are known tells.
    """
    if "$" in name or name == "wsapp" or name in sys.stdlib_module_names:
        return True
    for path in (*tree.files, *tree.links):
        *folders, last = path.split("/")
        if name in folders or last.partition(".")[0] == name:
            return True
    pinned = re.findall(r"^([A-Za-z0-9._-]+)\s*==", requirements or "", re.MULTILINE)
    if requirements is not None and not is_empty(requirements) and set(pinned) != {"websockets"}:
        return True
    return bool(pinned) and name == "websockets"
