"""How far hosts have come with a release, while they are at it.

Programs on hosts tell it by lines on standard error (wshost.common.progress). These are taken out
before pyinfra sees them: nothing else that a host says changes by them, nor does `-vvv`.

On a terminal it is shown in pyinfra's own line, which it writes anew and removes at the end;
elsewhere as a line now and then.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyinfra import logger
from pyinfra import progress as spinner
from pyinfra.connectors import util
from pyinfra.context import ctx_state

from wsdeploy.deploy import run
from wsdeploy.plan import answers, summary
from wshost.requests import Progress

EVERY = 10
"""Seconds between two lines, where none is rewritten."""
MARK = "wsdeploy-progress-"
MARGIN = 8
"""Columns of a terminal that pyinfra's line takes for itself, or has to leave free."""


@dataclass
class Log:
    """What was shown last, where no line is rewritten."""

    shown_at: float = field(default_factory=time.monotonic)


def listen(host: str) -> str | None:
    """Return a new mark by which a host can tell its progress; None if nobody would take it out.

    It can't be guessed, so that nothing that an app prints is taken for it.
    """
    if not isinstance(util.read_buffer, _Reader):
        return None
    mark = f"{MARK}{secrets.token_hex(8)}"
    run.current().listening[mark] = host
    return mark


def begin() -> None:
    """Let lines of progress be taken out of what hosts print, and be shown."""
    connectors: Any = util
    if hasattr(util, "read_buffer"):
        connectors.read_buffer = _Reader(util.read_buffer, Log())
    shown: Any = spinner
    if is_rewritten() and hasattr(spinner, "_print_spinner"):
        show = shown._print_spinner
        shown._print_spinner = lambda stop, texts: show(stop, _WithProgress(texts))


def is_rewritten() -> bool:
    """Tell whether pyinfra has a line on the terminal that it writes anew."""
    return bool(spinner.IS_TTY) and os.environ.get("PYINFRA_PROGRESS") != "off"


def _is_run() -> bool:
    isset: bool = ctx_state.isset()  # type: ignore[no-untyped-call]
    return isset and bool(ctx_state.get().initialised)  # type: ignore[no-untyped-call]


class _Reader:
    """pyinfra's function that reads what a command prints, without lines of progress."""

    def __init__(self, read: Callable[..., None], log: Log) -> None:
        self._read = read
        self._log = log

    def __call__(self, name: str, lines: Iterable[Any], *rest: Any, **more: Any) -> None:
        """Read lines as they come. name: `stdout` or `stderr`."""
        if name == "stderr" and _is_run():
            lines = self._others(run.current(), lines)
        self._read(name, lines, *rest, **more)

    def _others(self, current: run.Run, lines: Iterable[Any]) -> Iterator[Any]:
        """Yield the lines that are no progress; take the others."""
        for line in lines:
            text = line if isinstance(line, str) else line.decode(errors="replace")
            mark, _, told = text.partition(" ")
            if mark not in current.listening:
                yield line
            elif news := _read(told):
                if said := news.pop("said", None):
                    name = current.listening[mark]
                    logger.info(f"    [{name}] {summary.readable(said)}")
                current.report(current.listening[mark]).take(news)
                self._show(current)

    def _show(self, current: run.Run) -> None:
        if is_rewritten() or time.monotonic() < self._log.shown_at + EVERY:
            return
        if text := summary.progress(current.reports):
            self._log.shown_at = time.monotonic()
            logger.info(summary.readable(text))


def _read(told: str) -> Progress:
    try:
        return answers.progress(json.loads(told))
    except (ValueError, RecursionError):
        # The host went while it told it, or told something else.
        return {}


class _WithProgress:
    """The texts of pyinfra's line, of which it shows the last, with how far hosts have come."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __getitem__(self, index: int) -> str:
        text = self._texts[index]
        if _is_run() and (told := summary.progress(run.current().reports)):
            text = f"{text} - {summary.readable(told)}"
        return text[: max(0, spinner.TERMINAL_WIDTH - MARGIN)]
