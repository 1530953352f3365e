"""Where templates are: the project's own, and those of whoever deploys, which come first.

A folder `templates` beside the inventory may have templates by the same names, which take the place
of ours, or extend them:

    {# templates/nginx/nginx.conf.j2 #}
    {% extends "wsdeploy/nginx/nginx.conf.j2" %}
    {% block server %}
            add_header X-Served-By $hostname;
    {% endblock %}
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

OURS = Path(__file__).resolve().parents[1] / "templates"

PREFIX = "wsdeploy"
"""What our own are called by those that extend them."""

PART = "_"
"""What names begin with of files that templates of one's own include."""


def own(inventory: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder with templates of one's own beside an inventory file, or None."""
    if inventory is None:
        return None
    folder = Path(inventory).resolve().parent / "templates"
    return folder if folder.is_dir() and folder != OURS else None


def unknown(folder: Path) -> Iterator[Path]:
    """Yield the templates in a folder that take the place of none of ours."""
    for path in sorted(folder.rglob("*.j2")):
        name = path.relative_to(folder)
        if not (path.name.startswith(PART) or (OURS / name).is_file()):
            yield name
