"""Files that wsdeploy has written into a project: known by their digests, and never lost.

A note in the project has the digest of each. A file that is not as it was noted is somebody's work.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from wsdeploy.platforms.start import HOME
from wsdeploy.settings.section import Problem

NOTE = f"{HOME}/written.json"
"""The note, from the project's folder."""

Texts = Mapping[str, str]
"""Files by their paths in the project."""


def digest(text: str) -> str:
    """Return what stands for a file's content, whichever ends of lines git has given it."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def note(wanted: Texts) -> str:
    """Return the note of files."""
    return json.dumps({path: digest(wanted[path]) for path in sorted(wanted)}, indent=2) + "\n"


def noted(text: str | None) -> dict[str, str]:
    """Return the digests that a note has, by paths; none if it is missing or no such note.

    It comes with the project, from whomever: what it says of files elsewhere does not count.
    """
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {path: known for path, known in found.items() if is_inside(path)}


def is_inside(path: str) -> bool:
    """Tell whether a path, from the project's folder, can't lead out of it by its words."""
    parts = PurePosixPath(path).parts
    return bool(parts) and "\0" not in path and not {"/", ".."} & {*parts}


def changes(wanted: Texts, found: Texts) -> dict[str, str]:
    """Return the files to write, with the note last."""
    all_of_it = {**wanted, NOTE: note(wanted)}
    return {path: text for path, text in all_of_it.items() if found.get(path) != text}


def stale(wanted: Texts, found: Texts) -> list[str]:
    """Return the files to remove: those noted that are not wanted any more, and nobody's work."""
    known = noted(found.get(NOTE))
    return [
        path
        for path, before in sorted(known.items())
        if path not in wanted and path in found and digest(found[path]) == before
    ]


def problems(wanted: Texts, found: Texts) -> Iterator[Problem]:
    """Yield each file that is to be written and has somebody's work in it."""
    known = noted(found.get(NOTE))
    for path, text in wanted.items():
        if path not in found or found[path] == text or digest(found[path]) == known.get(path):
            continue
        if path in known:
            yield Problem(
                path,
                "somebody has changed it since wsdeploy wrote it; make that change in the "
                "inventory, then delete the file and run again",
            )
        else:
            yield Problem(
                path,
                "it is there already, and wsdeploy did not write it; take what you need of it into "
                "the inventory, then delete the file and run again",
            )
