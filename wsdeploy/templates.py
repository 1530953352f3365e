"""Where templates are: ours, and those of whoever deploys, which come first.

A folder `templates` beside the inventory, or in the folder that pyinfra is started in, may have
templates by the same names, which take the place of ours, or extend them:

    {# templates/nginx/nginx.conf.j2 #}
    {% extends "wsdeploy/nginx/nginx.conf.j2" %}
    {% block server %}
            add_header X-Served-By $hostname;
    {% endblock %}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from wsdeploy import command_line, resources

OURS = resources.FOLDER / "templates"

PREFIX = "wsdeploy"
"""What our own are called by those that extend them."""

PART = "_"
"""Names of files that are only included begin with this."""


def own(arguments: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders with templates of one's own, if a run with these arguments needs them.

    Those of one inventory come before those of the project. Who rolls back or removes a service
    applies none.
    """
    inventory = command_line.inventory(arguments)
    if inventory is None or not command_line.deploys(arguments):
        return ()
    places = dict.fromkeys((Path(inventory).absolute().parent, Path.cwd()))
    folders = [place / "templates" for place in places]
    return tuple(each for each in folders if each.is_dir() and not each.samefile(OURS))


def unknown(folder: Path) -> Iterator[Path]:
    """Yield the templates in a folder that take the place of none of ours, though they seem to.

    Templates of something else may be there, too.
    """
    for path in sorted(folder.rglob("*.j2")):
        name = path.relative_to(folder)
        alike = len(name.parts) > 1 and (OURS / name.parts[0]).is_dir()
        if alike and not (path.name.startswith(PART) or (OURS / name).is_file()):
            yield name


def only_for_wsdeploy(folder: Path) -> bool:
    """Tell whether a folder has nothing but templates for wsdeploy, and what says so.

    An app may have templates of its own in a folder of that name.
    """
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    return bool(files) and all(_is_for_wsdeploy(path.relative_to(folder)) for path in files)


def _is_for_wsdeploy(name: Path) -> bool:
    if name == Path("README.md"):
        return True
    part = name.name.startswith(PART) and name.suffix == ".j2" and len(name.parts) > 1
    return (OURS / name).is_file() or (part and (OURS / name.parts[0]).is_dir())
