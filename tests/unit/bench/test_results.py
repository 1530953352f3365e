"""Contenders take turns; files keep what was measured; the report counts in ratios."""

from functools import partial
from pathlib import Path

import pytest

from bench import machine, results
from bench.report.goals import Goal, number, table
from bench.report.tables import times
from bench.results import Measurement, Result


def result(commit: str = "0123456789", **measurements: list[float]) -> Result:
    about: dict[str, str | int] = {
        "processors": 2,
        "model": "x",
        "memory": 24,
        "kernel": "6",
        "python": "3",
    }
    found = {name: Measurement("s", samples) for name, samples in measurements.items()}
    return Result(commit, "2026-01-01", False, about, {}, found)


def test_another_one_begins_each_round() -> None:
    order: list[str] = []

    def one(name: str) -> float:
        order.append(name)
        return float(len(order))

    contenders = {name: partial(one, name) for name in "abc"}
    assert results.alternately(contenders, 3) == {
        "a": [1.0, 6.0, 8.0],
        "b": [2.0, 4.0, 9.0],
        "c": [3.0, 5.0, 7.0],
    }
    assert order == list("abcbcacab")


def test_what_is_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(machine, "commit", lambda: "0123456789+")
    measured = {"run": Measurement("s", [3.0, 1.0, 2.0])}
    written = results.write("deploy", "runs", measured, {"hosts": 5}, versions={"nginx": "1.22"})
    assert written == tmp_path / "deploy" / "runs.json"
    found = results.load("deploy", "runs")
    assert (found.commit, found.quick, found.notes) == ("0123456789+", False, {"hosts": 5})
    assert found.versions["nginx"] == "1.22"
    run = found.measurements["run"]
    assert (run.median, run.low, run.high) == (2.0, 1.0, 3.0)


def test_a_quick_run_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(machine, "commit", lambda: "0123456789")
    results.write("deploy", "runs", {}, quick=True)
    with pytest.raises(FileNotFoundError):
        results.load("deploy", "runs")
    assert results.load("deploy", "runs", results.QUICK).quick


def test_what_a_whole_run_replaces_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    for commit in ("0" * 10, "1" * 10, "2" * 10):
        monkeypatch.setattr(machine, "commit", lambda commit=commit: commit)
        results.write("deploy", "runs", {})
    results.write("deploy", "runs", {}, quick=True)
    assert results.load("deploy", "runs").commit == "2" * 10
    assert results.load("deploy", "runs", results.BEFORE).commit == "1" * 10


@pytest.mark.parametrize(
    ("goal", "median", "reached"),
    [
        (Goal("x", "s", "p", "a", "≤", 2.0, "b"), "2.00", True),
        (Goal("x", "s", "p", "a", "≤", 1.9, "b"), "2.00", False),
        (Goal("x", "s", "p", "a", "≥", 2.0, "b"), "2.00", True),
        (Goal("x", "s", "p", "a", "≤", 3.0, "b", minus=True), "3.00", True),
        (Goal("x", "s", "p", "a", "≤", 6.0), "6.00", True),
    ],
)
def test_goals_are_met_by_the_median_of_the_rounds(goal: Goal, median: str, reached: bool) -> None:
    # By themselves, the medians are 6 and 2: what slowed one round down slowed both.
    found = result(a=[2.0, 6.0, 20.0], b=[2.0, 3.0, 1.0])
    before = result(commit="9876543210", a=[2.0, 6.0], b=[1.0, 1.0])
    goals = {"group": (goal,)}
    row = table(goals, lambda suite, part: found, lambda suite, part: before).splitlines()[-1]
    assert f"| {median} |" in row
    assert ("| yes |" in row) == reached
    assert "`0123456789`" in row
    assert row.endswith("), `9876543210` |")


def test_what_was_not_measured_is_named() -> None:
    def load(suite: str, part: str) -> Result:
        raise FileNotFoundError

    goals = {"group": (Goal("x", "s", "p", "a", "≤", 2.0),)}
    assert "not measured" in table(goals, load, load)
    goals = {"group": (Goal("x", "s", "p", "other", "≤", 2.0),)}
    assert "not measured" in table(goals, lambda suite, part: result(a=[1.0]), load)
    goals = {"group": (Goal("x", "s", "p", "a", "≤", 2.0),)}
    row = table(goals, lambda suite, part: result(a=[1.0]), load).splitlines()[-1]
    assert row.endswith("| `0123456789` |  |")


def test_what_takes_a_messages_time_is_summed() -> None:
    taken = {"clients": [10.0], "app, kernel": [1.0, 3.0, 2.0], "app, uvloop": [0.5]}
    ours = {f"ours, TLS: {what}": samples for what, samples in taken.items()}

    def load(suite: str, part: str) -> Result:
        if part != "profile-nginx":
            raise FileNotFoundError
        return result(
            "0123456789", **ours | {"guide, TLS: proxy, itself": [4.0], "processes: clients": [1.0]}
        )

    assert times({"nginx": "nginx", "haproxy": "HAProxy"}, load).splitlines()[2:] == [
        "| nginx, ours | 10.0 | 0 | 2.50 | 0 | 0 | 0 | 12.5 |",
        "| nginx, guide | 0 | 0 | 0 | 0 | 0 | 4.00 | 4.00 |",
    ]


def test_numbers_have_three_digits_that_count() -> None:
    assert [number(x) for x in (0.01234, 1.5, 24.04, 1999.4, 0, 123456)] == [
        "0.0123", "1.50", "24.0", "1,999", "0", "123,456",
    ]  # fmt: skip
