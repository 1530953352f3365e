"""How an app that exists is started, as far as its files tell."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from wsdeploy.plan.summary import readable
from wsdeploy.release import folder
from wsdeploy.settings.app import EXCLUDED

RUNS_ITSELF = re.compile(r"^if __name__ == ['\"]__main__['\"]", re.MULTILINE)
ASGI = re.compile(r"^(\w+)(?:\s*:[^=\n]+)?\s*=\s*(?:\w+\.)?(?:FastAPI|Starlette)\(", re.MULTILINE)
TARGET = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):(([^\W\d]\w*)(?:\.[^\W\d]\w*)*)")
"""What a script runs: a module, an object in it, and the first part of that object's name."""
USUAL = ("app", "main", "server")
"""What modules are called that start an app."""
UNKNOWN = "EDIT: what starts your app"


@dataclass(frozen=True)
class Entry:
    """What an inventory has to say of an app."""

    path: str
    """Relative to the project that deploys it."""
    kind: str
    """`file`, `folder` or `project`."""
    options: tuple[str, ...] = ()
    """Arguments of `App`, as lines of Python."""
    requirements: bool = False
    """Whether one of them names the lock."""

    @property
    def complete(self) -> bool:
        """Whether nothing of it is left to be edited."""
        return not any("EDIT" in line for line in self.options)


def find(app: Path, path: str, *, unix: bool = True) -> Entry:
    """Return how an app is started.

    path: what the inventory calls it. unix: whether it is to listen on a unix socket, as on hosts.
    """
    if app.is_file():
        options = _ways([_read(app)], unix)
        lock, named = _file_lock(app.parent, path)
        return Entry(path, "file", (*options, *lock), named)
    sources = _sources(app)
    declared = _declared(app)
    command, works = _command(declared, sources, app, unix)
    options = [] if command is None else [_command_line(command, works)]
    served = command is not None and "uvicorn" in command
    options += _health(sources.values()) if served else _ways(sources.values(), unix)
    # Of a folder that is no project, the project that deploys it may have a uv.lock.
    named = not declared and path == "." and (app / "requirements.txt").is_file()
    if named:
        options.append('requirements="requirements.txt",')
    elif not declared:
        options += _lock(app)
    return Entry(path, "project" if declared else "folder", tuple(options), named)


def _declared(app: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(_read(app / "pyproject.toml"))
    except ValueError:
        return {}
    return found if isinstance(found.get("project"), dict) else {}


def _table(declared: Any, *names: str) -> dict[str, Any]:
    """Return a table of a pyproject.toml; empty if there is none, or another thing."""
    for name in names:
        declared = declared.get(name) if isinstance(declared, dict) else None
    return declared if isinstance(declared, dict) else {}


def _read(file: Path) -> str:
    """Return the text of a file, and of what can't be read, nothing: a pipe is not waited for."""
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    except OSError:
        return ""


def _sources(app: Path) -> dict[str, str]:
    """Return the app's modules, by their names as Python imports them."""
    found = {}
    for parent, folders, names in os.walk(app):
        left_out = {*EXCLUDED, "deploy.py", "config.py"} if Path(parent) == app else set()
        folders[:] = sorted(
            each
            for each in folders
            if not (each in left_out or folder.is_left_out(each) or _is_environment(parent, each))
        )
        for name in sorted(names):
            if name.endswith(".py") and name not in left_out:
                file = Path(parent, name)
                parts = file.relative_to(app).parts
                parts = parts[1:] if parts[0] == "src" and len(parts) > 1 else parts
                module = ".".join(parts).removesuffix(".py").removesuffix(".__init__")
                found[module] = _read(file)
    return found


def _is_environment(parent: str, name: str) -> bool:
    return Path(parent, name, "pyvenv.cfg").is_file()


def _command(
    declared: dict[str, Any], sources: dict[str, str], app: Path, unix: bool
) -> tuple[list[str] | None, bool]:
    """Return a command, or None if none is needed, and whether it can be relied on."""
    if "__main__" in sources:
        return None, True
    for name, text in sources.items():
        made = ASGI.search(text)
        if made and "uvicorn" in _needs(declared, app):
            where = (
                ["--uds", "$WS_SOCKET"] if unix else ["--host", "$WS_HOST", "--port", "$WS_PORT"]
            )
            return ["python", "-m", "uvicorn", f"{name}:{made[1]}", *where], True
    if found := next(_entries(declared, sources), None):
        return found, _importable(declared, app)
    return ["python", "-m", _package(declared) or "chat"], False


def _entries(declared: dict[str, Any], sources: dict[str, str]) -> Iterator[list[str]]:
    """Yield commands that seem to start the app, the likeliest first."""
    package = _package(declared)
    packages = [name.removesuffix(".__main__") for name in sources if name.endswith(".__main__")]
    if package in packages or len(packages) == 1:
        yield ["python", "-m", package if package in packages else packages[0]]
    scripts = _table(declared, "project", "scripts")
    own = scripts.get(str(declared.get("project", {}).get("name")))
    target = own or (next(iter(scripts.values())) if len(scripts) == 1 else None)
    if found := TARGET.fullmatch(str(target)):
        module, function, name = found.groups()
        if RUNS_ITSELF.search(sources.get(module, "")):
            yield ["python", "-m", module]
        # Releases have no scripts of their own.
        code = f"import sys; from {module} import {name}; sys.exit({function}())"
        yield ["python", "-c", code]
    for name in (*USUAL, *(f"{package}.{name}" for name in USUAL)):
        if RUNS_ITSELF.search(sources.get(name, "")):
            yield ["python", "-m", name]
    usual = [name for name in USUAL if name in sources]
    if len(usual) == 1:
        yield ["python", "-m", usual[0]]


def _importable(declared: dict[str, Any], app: Path) -> bool:
    """Tell whether a release can import the app's modules: what is in src/ has to be built."""
    built = _table(declared, "tool", "uv").get("package", "build-system" in declared)
    return bool(built) or not (app / "src").is_dir()


def _package(declared: dict[str, Any]) -> str:
    return str(declared.get("project", {}).get("name", "")).replace("-", "_")


def _needs(declared: dict[str, Any], app: Path) -> str:
    """Return what the app says it needs, as text."""
    found = [_read(app / name) for name in ("requirements.txt", "requirements.in")]
    needs = declared.get("project", {}).get("dependencies")
    return "\n".join([*map(str, needs if isinstance(needs, list) else []), *found])


def _file_lock(home: Path, path: str) -> tuple[list[str], bool]:
    """Return what to say of the lock beside a file, and whether that names one.

    A project that deploys the file from its own folder gets a uv.lock, which is not the file's.
    """
    if not (home / "requirements.txt").is_file():
        return _lock(home), False
    lock = PurePath(path).with_name("requirements.txt").as_posix()
    setting = f"requirements={literal(lock)},"
    if (home / "uv.lock").is_file():
        return [f"# EDIT: {setting}  # or uv.lock: which of them is the app's"], False
    return [setting], True


def _lock(home: Path) -> list[str]:
    """Return what to say of a lock that is missing."""
    if (home / "requirements.txt").is_file():
        return []
    return ['# EDIT: requirements="requirements.txt",  # it has no lock: docs/guides/apps.md']


def _command_line(command: list[str], works: bool) -> str:
    words = ", ".join(map(literal, command))
    return f"command=[{words}],{'' if works else f'  # {UNKNOWN}'}"


def literal(text: str) -> str:
    """Return a text as Python spells it in double quotes, in one line."""
    return readable(json.dumps(text, ensure_ascii=False))


def _ways(texts: Iterable[str], unix: bool) -> list[str]:
    """Return what to say of an app without wsapp: whether it has a health path, and listens."""
    code = "\n".join(texts)
    if re.search(r"^\s*(from|import) wsapp\b", code, re.MULTILINE):
        return []
    names = r"\bWS_(SOCKET|PORT)\b" if unix else r"\b(WS_)?PORT\b"
    supervised = unix and "SUPERVISOR_PROCESS_NAME" in code and ".sock" in code
    listens = supervised or re.search(names, code)
    where = "$WS_SOCKET says" if unix else "$WS_HOST and $WS_PORT say"
    found = [] if listens else [f"# EDIT: let it listen where {where}: docs/guides/apps.md"]
    return found + _health([code])


def _health(texts: Iterable[str]) -> list[str]:
    """Return the setting of an app that does not answer at the usual path."""
    return [] if any("/healthz" in text for text in texts) else ["health=None,"]
