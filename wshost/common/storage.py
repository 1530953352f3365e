"""Where hosts keep what deployments have to remember, and the turns that programs take there."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

STATE = Path("/var/lib/wsdeploy")


@contextlib.contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Let one program at a time change this host; a second one waits."""
    # Closed to others: who can open a file can lock it, and hold up every run.
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(state / "lock"):
        for leftover in state.glob("stage-*"):
            # Of a run that was killed; it may hold secrets.
            shutil.rmtree(leftover)
        yield


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made if need be, for root alone; wait for it if taken."""
    path.touch(mode=0o600)
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
