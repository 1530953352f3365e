"""The logs of all hosts, which are read when all of them are there (wsdeploy.deploy.log_reader)."""

from __future__ import annotations

import time
from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.api.operation import operation

from wsdeploy.deploy import run
from wsdeploy.plan import logs as plan


@operation()
def logs(
    *,
    since: str = "15m",
    until: str | None = None,
    host: str | None = None,
    process: str | None = None,
    client: str | None = None,
    request: str | None = None,
    grep: str | None = None,
    lines: int = plan.MOST,
    follow: str | bool = "no",
) -> Generator[StringCommand, None, None]:
    """Show the logs of all hosts and generations together, in order of time.

    + since, until: 90s, 15m, 2h or 3d ago, or a time in UTC such as 2026-01-31T03:00
    + host, process: one host; one process, such as ws_00, and what is said of it
    + client, request: a client's address or a request's ID: its connections, and what ended them
    + grep: a regular expression that lines match
    + lines: the newest so many
    + follow: yes shows lines as they come

        pyinfra inventories/prod.py wsdeploy.logs since=1h grep=code=1006
        pyinfra inventories/prod.py wsdeploy.logs client=203.0.113.7

    Changes nothing.
    """
    words = {
        "since": since, "until": until, "host": host, "process": process, "client": client,
        "request": request, "grep": grep, "lines": lines, "follow": follow,
    }  # fmt: skip
    try:
        run.current().logs = plan.wanted(words, time.time())
    except plan.LogsError as error:
        raise OperationError(str(error)) from None
    yield from ()
