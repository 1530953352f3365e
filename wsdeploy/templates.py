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

from collections.abc import Iterator, Sequence
from pathlib import Path

from wsdeploy import command_line

OURS = Path(__file__).resolve().parents[1] / "templates"

PREFIX = "wsdeploy"
"""What our own are called by those that extend them."""

PART = "_"
"""Names of files that are only included begin with this."""


def own(arguments: Sequence[str]) -> Path | None:
    """Return the folder with templates of one's own, if a run with these arguments needs them.

    Who rolls back or removes a service applies none.
    """
    inventory = command_line.inventory(arguments)
    if inventory is None or not command_line.deploys(arguments):
        return None
    folder = Path(inventory).absolute().parent / "templates"
    return folder if folder.is_dir() and folder.resolve() != OURS else None


def unknown(folder: Path) -> Iterator[Path]:
    """Yield the templates in a folder that take the place of none of ours, though they seem to.

    Templates of something else may be there, too.
    """
    for path in sorted(folder.rglob("*.j2")):
        name = path.relative_to(folder)
        alike = len(name.parts) > 1 and (OURS / name.parts[0]).is_dir()
        if alike and not (path.name.startswith(PART) or (OURS / name).is_file()):
            yield name
