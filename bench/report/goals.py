"""What this project wants to reach, as ratios, and which measurements tell. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.results import Result

Load = Callable[[str, str], Result]


@dataclass(frozen=True)
class Goal:
    """A bound on a ratio of two measurements of one part, or on one measurement."""

    what: str
    """In words, for the table."""
    suite: str
    part: str
    one: str
    """The measurement that is looked at."""
    sign: Literal["≤", "≥", ""]
    bound: float | None
    """None where there is no goal: the ratio is there to compare with."""
    other: str | None = None
    """What it is divided by, round by round; None looks at the samples themselves."""
    minus: bool = False
    """Whether `other` is subtracted instead."""

    def samples(self, result: Result) -> list[float]:
        """Return the ratio (or difference, or value) of each round."""
        first = result.measurements[self.one].samples
        if self.other is None:
            return first
        pairs = zip(first, result.measurements[self.other].samples, strict=True)
        return [a - b if self.minus else a / b for a, b in pairs]

    def reached(self, result: Result) -> bool | None:
        """Tell whether the median keeps to the bound, if there is one."""
        if self.bound is None:
            return None
        found = statistics.median(self.samples(result))
        return found <= self.bound if self.sign == "≤" else found >= self.bound


def table(goals: Mapping[str, tuple[Goal, ...]], load: Load, before: Load) -> str:
    """Return the goals by group, with what was measured, as a table in Markdown.

    before: gives the results of the run before, for the last column. A part that was not measured
    stands there as such.
    """
    lines = [
        "| | Goal | Median | Lowest and highest of the rounds | Rounds | Reached | Commit "
        "| The run before |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group, members in goals.items():
        lines.append(f"| **{group}** | | | | | | | |")
        for goal in members:
            lines.append(_row(goal, load, before))
    return "\n".join(lines)


def _row(goal: Goal, load: Load, before: Load) -> str:
    bound = "" if goal.bound is None else f"{goal.sign} {number(goal.bound)}"
    found = _found(goal, load)
    if not found:
        return f"| {goal.what} | {bound} | not measured | | | | | |"
    result, samples = found
    earlier = _found(goal, before)
    cells = (
        goal.what,
        bound,
        number(statistics.median(samples)),
        _spread(samples),
        str(len(samples)),
        {True: "yes", False: "**no**", None: ""}[goal.reached(result)],
        f"`{result.commit}`",
        f"{number(statistics.median(earlier[1]))} ({_spread(earlier[1])}), `{earlier[0].commit}`"
        if earlier
        else "",
    )
    return f"| {' | '.join(cells)} |"


def _found(goal: Goal, load: Load) -> tuple[Result, list[float]] | None:
    """Return the result that a goal is about, and its ratios; None if that was not measured."""
    try:
        result = load(goal.suite, goal.part)
        return result, goal.samples(result)
    except (FileNotFoundError, KeyError):
        return None


def _spread(samples: list[float]) -> str:
    return f"{number(min(samples))} to {number(max(samples))}"


def number(value: float) -> str:
    """Return a number as people read it: three digits that count.

    >>> [number(x) for x in (0.01234, 1.5, 24.04, 1999.4, 0, 123456)]
    ['0.0123', '1.50', '24.0', '1,999', '0', '123,456']
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    digits = 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return f"{value:.{digits}f}"
