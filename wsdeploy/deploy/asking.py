"""Ask a host's program something, and take no answer for one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host

from wsdeploy.deploy import connection, programs
from wsdeploy.plan.host import remote

PATIENCE = 20
"""Seconds for an answer; every program that is asked so has a limit of its own below that."""


class NoAnswerError(Exception):
    """A host does not answer; the message says why, as far as it is known."""


def ask(target: Host, program: str, request: Mapping[str, object]) -> dict[str, Any]:
    """Return what `wshost.PROGRAM` answers on a host. Raises NoAnswerError."""
    connection.watch(target)
    command = StringCommand(remote.command_on_bare_host(program))
    # Most hosts have the programs from the last deployment.
    sent = [
        remote.payload(program, request, bundle=False, again=True),
        remote.payload(program, request),
    ]
    try:
        for payload in sent:
            done, output = target.run_shell_command(command, _stdin=payload, _timeout=PATIENCE)
            if not done:
                raise NoAnswerError(
                    (output.stderr.strip().splitlines() or ["it did not say why"])[-1]
                )
            answer = json.loads(remote.answer(output.stdout.splitlines()))
            if answer != remote.MISSING:
                break
    except NoAnswerError:
        raise
    except Exception as error:  # each kind of connection has its own
        logger.debug("%s asked for %s: %r", target.name, program, error)
        raise NoAnswerError(str(error) or type(error).__name__) from None
    if not isinstance(answer, dict) or answer.get("bare"):
        raise NoAnswerError("there is no Python on it: it was never deployed to")
    programs.note(target)
    return answer
