"""The last check of a deployment: be a client."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host, state

from wsdeploy.deploy import facts, programs, run
from wsdeploy.deploy.operations.send import failure
from wsdeploy.plan.host import remote
from wsdeploy.plan.proxy import handshake as plan
from wsdeploy.settings import Settings

BEGINS = "wsdeploy-probe-begins"
"""What is printed before the client says anything; a shell's own words come before."""


class Handshake(FactBase[str]):
    """What a WebSocket client on the host says of the proxy: empty if all went well."""

    def command(self) -> str:
        """Return the command; the request goes to its standard input."""
        # The client's verdict is the answer, whichever it is.
        return f"echo {BEGINS}; {remote.command('probe')} 2>&1 >/dev/null || true; echo"

    def process(self, output: list[str]) -> str:
        """Return the client's complaint without white space around it."""
        if BEGINS not in output:
            raise FactProcessError("the client said nothing")
        return "\n".join(output[output.index(BEGINS) + 1 :]).strip()


@operation()
def handshake(settings: Settings) -> Generator[StringCommand, None, None]:
    """Open a WebSocket through the host's own proxy over TLS, with the certificate verified.

    Handshake, ping, the message of `App.probe` if there is one, and a clean close. If any of it
    goes wrong, the run fails. Changes nothing.
    As long as the run has changed no host, what the survey's client has met is as good.
    """
    if not state.is_executing:
        return
    if not run.has_changed_hosts() and facts.survey(settings).served:
        host.noop("a client of the survey was served")
        return
    request = plan.request(settings, plan.PATIENCE)
    complaint = host.get_fact(Handshake, _stdin=programs.payload("rollout.probe", request))
    if complaint:
        yield failure(f"no WebSocket through the proxy: {complaint}")
