"""How the fast tests share the machine's processors."""

import gc
import os
from pathlib import Path

import pytest

from tests import pyinfra_server

# Imports and collection make half a million objects that stay: there is no garbage to look for.
gc.disable()

WAITING = {"test_watchdog", "test_stop", "test_lifetime", "test_belongings", "test_sample_apps"}
"""Modules whose tests mostly wait: for a process to be found dead, for a drain to end."""
FAST = tuple(Path(__file__).parent / name for name in ("unit", "plan"))


def pytest_configure(config: pytest.Config) -> None:
    """Let all of xdist's processes have pyinfra imported once."""
    if config.getoption("numprocesses", None):
        pyinfra_server.share()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each of xdist's processes its share of those that wait, and none of them at the end.

    Each gets one run of the list at first (worksteal). Half of them begin with those that wait; the
    others have work meanwhile, and wait later.
    """
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    # The checks of a fleet are elsewhere; tests on hosts run them from one of xdist's processes.
    if count == 1 or not all(any(map(each.path.is_relative_to, FAST)) for each in items):
        return
    waiting = [item for item in items if item.path.stem in WAITING]
    working = [item for item in items if item.path.stem not in WAITING]
    order = []
    for number in range(count):
        wait, work = (_part(each, number, count) for each in (waiting, working))
        begun = len(work) // 2 * (number % 2)
        order += [*work[:begun], *wait, *work[begun:]]
    items[:] = order


def pytest_collection_finish() -> None:
    """Look for garbage from now on, but not among all that."""
    gc.freeze()
    gc.enable()


def _part(items: list[pytest.Item], number: int, count: int) -> list[pytest.Item]:
    return items[len(items) * number // count : len(items) * (number + 1) // count]
