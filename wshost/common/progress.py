"""What a program tells of its progress while it is at work, to the run that waits for it.

A line on standard error for each piece of news, which begins with a mark that the run has chosen.
The machine that deploys takes these lines out of what the program says. A run that is gone, or
does not read, must not hold up a drain: what can't be written at once is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wshost.requests import Progress

EVERY = 1.0
"""Seconds between two looks."""
SHARE = 20
"""A look at a busy host may take long; so many times as long passes until the next one."""
STANDARD_ERROR = 2

_marks: list[str] = []
"""The mark, once there is one."""


def begin(mark: str) -> None:
    """Let lines of progress begin with a mark. Without one, nothing is told."""
    _marks[:] = [mark]


def is_wanted() -> bool:
    """Tell whether anybody wants to know."""
    return bool(_marks)


def tell(news: Progress) -> None:
    """Tell a piece of news, if anybody wants to know."""
    if not _marks:
        return
    # It is shorter than what a pipe takes in one piece.
    line = f"{_marks[0]} {json.dumps(news)}\n".encode()
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [STANDARD_ERROR], [], 0)[1]:
            os.write(STANDARD_ERROR, line)


@contextlib.contextmanager
def ticking(look: Callable[[], Progress]) -> Iterator[None]:
    """Tell what `look` returns, about once a second while the body runs."""
    if not _marks:
        yield
        return
    done = threading.Event()

    def tick() -> None:
        pause = EVERY
        while not done.wait(pause):
            start = time.monotonic()
            tell(look())
            pause = max(EVERY, SHARE * (time.monotonic() - start))

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
