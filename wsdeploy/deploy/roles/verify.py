"""The end of every deployment: a client's view."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy import run
from wsdeploy.deploy.operations import handshake


@deploy("Verify")
def verify() -> None:
    """Open a WebSocket through the proxy, as a client would."""
    run.current().verified.add(host.name)
    handshake(name="WebSocket over TLS", settings=host.data.settings)
