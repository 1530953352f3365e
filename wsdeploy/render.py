"""Render the project's templates. Pure but for reading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


def environment(templates: Path = TEMPLATES) -> Environment:
    """Return the Jinja environment that every template is rendered with."""
    return Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (configuration files, not HTML)
    )


_ENVIRONMENT = environment()


def render(template: str, **context: Any) -> str:
    """Return a template with its variables filled in.

    template: its name below templates/, without `.j2`.
    Raises jinja2.UndefinedError for a variable that `context` does not have.
    """
    return _ENVIRONMENT.get_template(f"{template}.j2").render(**context)
