"""The commands that change hosts: what becomes of each is noted for the end of the run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host
from pyinfra.api.state import State

from wsdeploy.deploy import connection, run
from wsdeploy.plan.summary import HostReport, Work
from wshost.requests import Serving

LOST = "the connection was lost"
ASIDE = "sudo: unable to resolve host"
"""What sudo says first where /etc/hosts lacks the host's own name; it goes on then."""


class Change(StringCommand):
    """A command that changes a host."""

    def __init__(
        self, *words: str, program: str = "", serves: Serving | None = None, **arguments: Any
    ) -> None:
        super().__init__(*words, **arguments)
        self._program = program
        self._serves = serves

    def execute(self, state: State, host: Host, connector_arguments: Any) -> Any:
        """Run it; note that the host is at work, and how that ends."""
        current = run.current()
        report = current.report(host.name)
        report.untouched = False
        report.work = Work(_title(state, host), self._program)
        connection.watch(host)
        try:
            done, output = super().execute(state, host, connector_arguments)
        except Exception as error:  # each kind of connection has its own
            _lose(current, report, str(error))
            raise
        if done:
            report.finish(self._serves)
        elif connection.is_gone(host):
            _lose(current, report)
        elif not current.interrupted:
            report.fail(_cause(output.stderr_lines, self._program))
        return done, output


class Failure(StringCommand):
    """A command that only says why a host fails."""

    def execute(self, state: State, host: Host, connector_arguments: Any) -> Any:
        """Note why, and fail."""
        run.current().report(host.name).fail(_cause(self.connector_arguments["_stdin"], "said"))
        return super().execute(state, host, connector_arguments)


def _title(state: State, host: Host) -> str:
    """Return the name of the operation that the host is at."""
    meta = state.op_meta.get(host.current_op_hash or "")
    return ", ".join(sorted(meta.names)) if meta else "something"


def _cause(lines: Iterable[str], program: str) -> str:
    """Return the line that says most: programs of ours begin with it, others end so."""
    said = [line.strip() for text in lines for line in text.splitlines() if line.strip()]
    telling = [line for line in said if not line.startswith(ASIDE)] or said
    if not telling:
        return "it did not say why"
    return telling[0] if program else telling[-1]


def _lose(current: run.Run, report: HostReport, error: str = "") -> None:
    """Note that a host can't be reached any more, unless this run has left it."""
    if not current.interrupted:
        report.lose(f"{LOST} ({error})" if error else LOST)
