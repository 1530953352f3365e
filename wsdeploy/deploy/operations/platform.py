"""Files of a project for the platform that it is deployed to."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from pyinfra import logger
from pyinfra.api.command import FunctionCommand
from pyinfra.api.operation import operation
from pyinfra.context import host, state
from pyinfra.operations.util.files import generate_color_diff

from wsdeploy.platforms import written

if TYPE_CHECKING:
    from wsdeploy.inventory.project import Project


@operation()
def platform_files(project: Project) -> Generator[FunctionCommand, None, None]:
    """Write the files that a platform needs into the project on this machine, as planned.

    + project: what is to be deployed, and where

    Files that somebody else has written were refused before.
    """
    found = project.found()
    changes, stale = written.changes(project.wanted, found), written.stale(project.wanted, found)
    if not (changes or stale):
        host.noop("all files are as planned")
        return
    if state.config.DIFF:
        for path in (*changes, *stale):
            _show(path, found.get(path, ""), changes.get(path, ""))
    # This machine is the host, so Python writes them: a shell for each would take seconds.
    yield FunctionCommand(_write, (project.folder, changes, stale), {})


def _write(folder: Path, changes: dict[str, str], stale: list[str]) -> None:
    for path, text in changes.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
    for path in stale:
        (folder / path).unlink(missing_ok=True)


def _show(path: str, before: str, after: str) -> None:
    verb = "remove" if not after else "modify" if before else "create"
    host.log(f"Will {verb} {path}")
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    for line in generate_color_diff(old, new):
        logger.info("  %s", line)
