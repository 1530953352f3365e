"""Shorter ways to what pyinfra finds out anew for each operation of each host.

With these, a run that finds nothing to do takes half of this machine's time for one more host.
"""

from __future__ import annotations

import gc
import sys
from functools import cache
from types import FrameType
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a frame is, as far as pyinfra asks."""

    filename: str
    lineno: int


def take() -> None:
    """Let pyinfra take them, as far as it is there and has what they replace."""
    # Little of what a run makes is garbage before its end: to look for it all the time takes a
    # tenth of this machine's time.
    gc.freeze()
    gc.set_threshold(100_000)
    arguments: Any = sys.modules.get("pyinfra.api.arguments")
    if hasattr(arguments, "all_global_arguments"):
        # Types of a class, the same at each call.
        arguments.all_global_arguments = cache(arguments.all_global_arguments)
    util: Any = sys.modules.get("pyinfra.api.util")
    if hasattr(util, "stack") and hasattr(util, "getframeinfo"):
        util.stack, util.getframeinfo = stack, place


def stack() -> list[tuple[FrameType]]:
    """Return the frames of the caller and of what called it, as inspect.stack does.

    inspect reads the sources, to show lines of them. For a file that is no module, such as
    deploy.py, it looks through all modules each time.
    """
    found = []
    frame: FrameType | None = sys._getframe(1)
    while frame:
        found.append((frame,))
        frame = frame.f_back
    return found


def place(frame: FrameType) -> Place:
    """Return where a frame is, as inspect.getframeinfo does."""
    return Place(frame.f_code.co_filename, frame.f_lineno)
