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
    return Project(project["name"], bool(project.get("dependencies")) or dynamic, bool(built))
