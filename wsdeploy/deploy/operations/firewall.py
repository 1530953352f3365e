"""The packet filter, which may never lock anybody out."""

from __future__ import annotations

from collections.abc import Generator

from paramiko import SSHException
from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.operation import operation
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.context import ctx_host, host, state

from wsdeploy.deploy import facts
from wsdeploy.deploy.operations.configuration import show
from wsdeploy.deploy.operations.send import change, failure, log_reasons, without_traceback
from wsdeploy.plan.host import firewall as plan
from wsdeploy.settings import Settings


@operation()
@without_traceback
def firewall(settings: Settings, final: bool) -> Generator[StringCommand, None, None]:
    """Put the rules in force, once a new SSH connection has come in through them.

    final: whether the app's former ports are closed.
    The host takes new rules back by itself after half a minute, whatever becomes of this machine;
    only if a connection that was made after they were loaded answers, they are kept.
    """
    target = facts.target(settings)
    if final and not plan.old_ports(target):
        host.noop("no former port of the app is open")
        return
    files = plan.files(target, final=final)
    if not final:
        for note in files.notes:
            host.log_styled(note, fg="yellow", log_func=logger.warning)
    differences = [*files.differences(target.survey), *plan.drift(target)]
    if not differences:
        host.noop(f"{files.name} is as planned")
        return
    log_reasons(differences)
    if state.config.DIFF:
        show(files, target.survey)
    trial = plan.trial(settings, files)
    yield change("config.try_firewall", trial)
    if state.is_executing and (complaint := _locked_out()):
        yield change("config.try_firewall", {**trial, "back": True})
        yield failure(
            "the firewall would lock this machine out, so the previous rules are back: no new SSH "
            f"connection came in ({complaint}); look at Firewall.ssh_from"
        )
        return
    yield change("config.apply_files", files.to_json())


def _locked_out() -> str | None:
    """Return why no new connection to the current host can be made, or None if one can."""
    if not isinstance(host.connector, SSHConnector):
        return None
    connector = SSHConnector(state, ctx_host.get())  # type: ignore[no-untyped-call]
    try:
        connector.connect()
        answered, _ = connector.run_shell_command(StringCommand("true"))
    except (ConnectError, SSHException, OSError, EOFError) as error:
        return str(error)
    finally:
        if connector.client is not None:
            connector.client.close()
    return None if answered else "it does not run commands"
