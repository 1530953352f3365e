"""What a pyproject.toml says of a folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path


class ProjectError(Exception):
    """A pyproject.toml can't be read; the message says why."""


@dataclass(frozen=True)
class Project:
    """A Python project: a folder with a pyproject.toml that has a [project] table."""

    name: str
    depends: bool
    """Whether it has dependencies, or leaves it to its build to say so."""
    built: bool
    """Whether it is a package that is built and installed; else it is only a set of files."""
    python: str = ""
    """The versions of Python that it needs (`requires-python`), such as `>=3.11`; any if empty."""


def read(folder: Path) -> Project | None:
    """Return the project that a folder is, or None if it is a plain one. Raises ProjectError."""
    file = folder / "pyproject.toml"
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        declared = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ProjectError(f"{file} can't be read: {error}") from None
    project = declared.get("project")
    if not isinstance(project, dict) or not isinstance(project.get("name"), str):
        return None
    tool = declared.get("tool", {})
    # uv goes by the same rule.
    built = tool.get("uv", {}).get("package", "build-system" in declared)
    dynamic = "dependencies" in project.get("dynamic", ())
    depends = bool(project.get("dependencies")) or dynamic
    python = project.get("requires-python", "")
    return Project(project["name"], depends, bool(built), python if isinstance(python, str) else "")


def workspace(folder: Path) -> Path | None:
    """Return the folder of the uv workspace that a project is in, or None."""
    for above in folder.resolve().parents:
        try:
            declared = tomllib.loads((above / "pyproject.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if "workspace" in declared.get("tool", {}).get("uv", {}):
            return above
    return None
