"""The order in which hosts change what serves. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def batches(hosts: Sequence[str], at_once: int) -> list[tuple[str, ...]]:
    """Return the hosts that change together: the first one alone, then `at_once` at a time.

    >>> batches(["a", "b", "c", "d"], 2)
    [('a',), ('b', 'c'), ('d',)]
    """
    others = hosts[1:]
    groups = [others[i : i + at_once] for i in range(0, len(others), at_once)]
    return [tuple(group) for group in (hosts[:1], *groups) if group]
