"""Proxy hosts: TLS, balancing, and protection against the Internet."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.operations import configuration, self_signed
from wsdeploy.plan import nginx, tls
from wsdeploy.settings import SelfSigned


@deploy("Proxy")
def proxy() -> None:
    """Let a host accept clients and pass them to the app's processes."""
    settings = host.data.settings
    if isinstance(settings.tls, SelfSigned):
        self_signed(name="Certificate", settings=settings, activate=nginx.NEW_CERTIFICATE)
    else:
        configuration(name="Certificate", settings=settings, plan=tls.pushed)
    configuration(name="nginx", settings=settings, plan=nginx.files, undone=nginx.undone)
