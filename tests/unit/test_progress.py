"""Lines of progress, on the machine that deploys."""

import json
import time
from collections.abc import Iterable, Iterator

import pytest
from pyinfra import logger
from pyinfra import progress as spinner
from pyinfra.api.config import Config
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State
from pyinfra.connectors import util
from pyinfra.context import ctx_state

from wsdeploy.deploy import progress, run
from wsdeploy.plan.summary import Work
from wshost.requests import Drain

DRAIN: Drain = {"left": 23, "of": 50, "seconds": 14.2, "at_most": 60}


@pytest.fixture
def current() -> Iterator[run.Run]:
    """A run, whose host app1 is at work."""
    before = ctx_state.get()  # type: ignore[no-untyped-call]
    state = State()
    state.init(Inventory(([], {})), Config())  # type: ignore[no-untyped-call]
    ctx_state.set(state)  # type: ignore[no-untyped-call]
    found = run.current()
    found.report("app1").work = Work("App | Old processes", "rollout.retire")
    yield found
    ctx_state.set(before)  # type: ignore[no-untyped-call]


Reader = tuple[progress._Reader, list[object]]


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, current: run.Run) -> Reader:
    """What reads what a command prints, in the place of pyinfra's own; and what is left of it."""
    kept: list[object] = []

    def keep(name: str, lines: Iterable[object]) -> None:
        kept.extend(lines)

    found = progress._Reader(keep, progress.Log())
    monkeypatch.setattr(util, "read_buffer", found)
    return found, kept


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(logger, "info", lines.append)
    monkeypatch.setattr(spinner, "IS_TTY", False)
    return lines


def line(mark: str | None, news: object) -> str:
    return f"{mark} {json.dumps(news)}\n"


def test_lines_of_progress_are_taken_out(
    reader: Reader, current: run.Run, shown: list[str]
) -> None:
    read, kept = reader
    mark = progress.listen("app1")
    other = f"{progress.MARK}{'0' * 16}"
    lines = ["no\n", line(mark, {"drain": DRAIN}), f"{mark} {{half", line(other, {}), b"\xff\n"]
    read("stderr", lines)
    assert kept == ["no\n", line(other, {}), b"\xff\n"]
    work = current.report("app1").work
    assert work
    assert work.news == {"drain": DRAIN}


def test_lines_of_another_shape_do_no_harm(
    reader: Reader, current: run.Run, shown: list[str]
) -> None:
    read, kept = reader
    mark = progress.listen("app1")
    news: tuple[object, ...] = ({"drain": {"left": 1}}, {"serves": 5}, {"gate": DRAIN}, [], 5, None)
    read("stderr", [*(line(mark, each) for each in news), f"{mark} {'[' * 100_000}\n"])
    assert kept == []
    assert shown == []
    work = current.report("app1").work
    assert work
    assert work.news == {}


def test_an_answer_is_not_looked_at(reader: Reader, shown: list[str]) -> None:
    read, kept = reader
    answer = [line(progress.listen("app1"), {"drain": DRAIN})]
    read("stdout", answer)
    assert kept == answer


def test_a_line_now_and_then_where_none_is_rewritten(
    reader: Reader, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, _ = reader
    lines = [line(progress.listen("app1"), {"drain": DRAIN})]
    read("stderr", lines * 3)
    assert shown == [], "what is over in seconds needs no line"
    later = time.monotonic() + progress.EVERY
    monkeypatch.setattr(time, "monotonic", lambda: later)
    read("stderr", lines * 3)
    assert shown == ["app1: 23 of 50 clients left, 14 s"]


def test_pyinfras_own_line_on_a_terminal(current: run.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spinner, "TERMINAL_WIDTH", 200)
    texts = progress._WithProgress(["{app1}"])
    assert texts[-1] == "{app1}"
    current.report("app1").take({"drain": DRAIN})
    assert texts[-1] == "{app1} - app1: 23 of 50 clients left, 14 s"
    monkeypatch.setattr(spinner, "TERMINAL_WIDTH", 30)
    assert len(texts[-1]) < 30


def test_nobody_is_asked_for_what_nobody_takes_out(
    monkeypatch: pytest.MonkeyPatch, current: run.Run
) -> None:
    monkeypatch.setattr(util, "read_buffer", print)
    assert progress.listen("app1") is None
