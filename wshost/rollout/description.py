"""What a generation is, in a file beside Supervisor's.

It says what is decided when a generation is written, and can be read nowhere else: where its
processes listen, how many there are, how the watchdog tells whether they live. The launcher reads
it, too (rollout/launch.py), so that it is never at odds with what runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.rollout import earlier

if TYPE_CHECKING:
    from wshost.requests import Description

CONF = Path("/etc/supervisor/conf.d")
GENERATION_ID = "[0-9a-f]{12}(?:-[0-9]+)?"
"""What a generation's ID looks like; nothing else is taken for one. The number counts how
often it was started anew as a whole."""

GENERATION, AUTOSTART, LISTEN = "@GENERATION@", "@AUTOSTART@", "@LISTEN@"
"""What stands in the texts of a rollout's request for what the host decides: a generation that is
started anew has another ID, one that waits does not start by itself, and one on trial listens
elsewhere (that is in the description; it was in Supervisor's file, see rollout/earlier.py)."""

SHAPE = {
    "release": str,
    "environment": str,
    "listen": str,
    "processes": int,
    "open_files": int,
    "watch": dict | None,
}
"""What a description says. What has another shape is none."""


def path(conf: Path) -> Path:
    """Return the file that belongs to Supervisor's file of a generation."""
    return conf.with_suffix(".json")


def read(conf: Path, group: str) -> Description | None:
    """Return what a generation is, by its files; None if that can't be read.

    conf: Supervisor's file. group: Supervisor's name of the generation.
    """
    try:
        found: Description = json.loads(path(conf).read_text())
    except FileNotFoundError:
        return earlier.description(conf, group)
    except (OSError, ValueError):
        return None
    return found if is_one(found) else None


def is_one(found: object) -> bool:
    """Tell whether something has the shape of a description."""
    return isinstance(found, dict) and all(
        key in found and isinstance(found[key], kind) for key, kind in SHAPE.items()
    )


def text(described: Description, generation: str, listen: str | None = None) -> str:
    """Return the file of a generation. listen: where it listens, if not where it usually does."""
    if listen is not None:
        described = {**described, "listen": listen}
    return fill(json.dumps(described, indent=1) + "\n", generation)


def fill(text: str, generation: str, listen: str = "", autostart: bool = True) -> str:
    """Return a text of a rollout's request as it is on the host."""
    marks = {
        LISTEN: listen,
        GENERATION: generation,
        AUTOSTART: "true" if autostart else "false",
    }
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return text
