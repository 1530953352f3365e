"""Runs that only look: hosts have the word, and one that is gone is no reason to end.

What pyinfra says of its own work, and its question whether to change anything, would be in the way.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.state import State
from pyinfra.context import ctx_config, ctx_state

from wsdeploy.deploy import log_reader, run
from wsdeploy.plan.status import hosts, screen
from wsdeploy.settings import Settings

OF_HOST = re.compile(r"\[(?P<host>[^\]]+)\]\s+(?P<text>.*)")
"""A line of pyinfra's about a host."""
COLOUR = re.compile(r"\x1b\[[\d;]*m")


class _Lines(logging.Filter):
    """Keeps what pyinfra says of its work to itself, and notes why hosts can't be reached."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}
        self.code: int | None = None
        """What the run ends with, once its results are printed for a program."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is shown."""
        found = OF_HOST.search(COLOUR.sub("", record.getMessage()))
        if found and record.levelno >= logging.ERROR:
            self.reasons.setdefault(found["host"], found["text"])
        return record.levelno != logging.INFO


def begin(cli: Any) -> None:
    """Let a run only look. cli: pyinfra's module of that name."""
    # The others are still worth knowing.
    ctx_config.get().FAIL_PERCENT = None  # type: ignore[no-untyped-call]
    lines = _Lines()
    logging.getLogger("pyinfra").addFilter(lines)
    cli._handle_commands = _without_question(cli._handle_commands)
    cli.connect_all = _with_whom_there_is(cli.connect_all, lines)
    cli.print_run_json = _concluded(cli.print_run_json, lines)
    cli.print_results = lambda *_: None
    cli._exit = lambda: _leave(lines)


def _without_question(handle: Callable[..., Any]) -> Callable[..., Any]:
    def handled(*arguments: Any, **options: Any) -> Any:
        _, *rest = handle(*arguments, **options)
        # Whether there are differences to ask about.
        return False, *rest

    return handled


def _with_whom_there_is(connect: Callable[..., Any], lines: _Lines) -> Callable[..., Any]:
    def connected(state: State) -> None:
        try:
            connect(state)
        except PyinfraError:
            if state.active_hosts:
                raise
            if "--json" in sys.argv:
                lines.code, _ = conclude(lines.reasons)
                print(json.dumps({"wsdeploy": run.current().results}))
            _leave(lines)

    return connected


def _concluded(show: Callable[..., Any], lines: _Lines) -> Callable[..., Any]:
    def shown(*arguments: Any, **options: Any) -> None:
        lines.code, _ = conclude(lines.reasons)
        show(*arguments, **options)

    return shown


def conclude(reasons: Mapping[str, str]) -> tuple[int, list[str]]:
    """Let results be there for `--json`; return the exit code and what else is to be shown.

    reasons: why hosts can't be reached.
    """
    state: State = ctx_state.get()  # type: ignore[no-untyped-call]
    current = run.current()
    unreached = {it.name: reasons.get(it.name, "it does not answer") for it in state.failed_hosts}
    settings = next(
        (found for it in state.inventory if isinstance(found := it.data.get("settings"), Settings)),
        None,
    )
    failed = 1 if unreached else 0
    if in_cluster := current.cluster_status:
        current.results["status"] = in_cluster.to_json()
        return int(in_cluster.level), [*in_cluster.lines()]
    cluster = next((found for it in state.inventory if (found := it.data.get("cluster"))), None)
    if cluster is not None and "wsdeploy.logs" in sys.argv:
        given = cluster.kubernetes
        context = f"--context {shlex.quote(given.context)} " if given.context else ""
        label = f"app.kubernetes.io/name={cluster.settings.name}"
        command = f"kubectl {context}-n {given.namespace} logs --prefix -l {label}"
        print(f"wsdeploy.logs reads those of hosts; in a cluster, {command}", file=sys.stderr)
        return 1, []
    if settings is None or not (current.statuses or unreached or current.logs):
        return failed, []
    if "wsdeploy.logs" in sys.argv:
        wanted = current.logs
        return (log_reader.show(state, settings, wanted, unreached) if wanted else failed), []
    answers = {**unreached, **current.statuses}
    report = screen.Report.of(settings, hosts.look(settings, answers), time.time())
    current.results["status"] = screen.to_json(report)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return int(report.level), [*screen.lines(report, colour=colour)]


def _leave(lines: _Lines) -> NoReturn:
    """End the run: show what was found, unless that was for a program; the code says how it is."""
    code = lines.code
    if code is None:
        code, shown = conclude(lines.reasons)
        print("".join(f"{line}\n" for line in shown), end="")
    sys.exit(code)
