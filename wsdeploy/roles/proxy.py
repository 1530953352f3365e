"""Proxy hosts: TLS, balancing, and protection against the Internet."""

from __future__ import annotations

from functools import partial

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.operations import configuration, removal, self_signed
from wsdeploy.plan import proxies
from wsdeploy.settings import SelfSigned


@deploy("Proxy")
def proxy() -> None:
    """Let a host accept clients and pass them to the app's processes."""
    settings = host.data.settings
    chosen, other = proxies.chosen(settings), proxies.other(settings)
    if isinstance(settings.tls, SelfSigned):
        self_signed(name="Certificate", settings=settings, activate=chosen.NEW_CERTIFICATE)
    else:
        configuration(name="Certificate", settings=settings, plan=proxies.pushed_certificate)
    configuration(
        name=chosen.UNIT,
        settings=settings,
        plan=partial(chosen.files, proxy=host.name),
        undone=chosen.undone,
    )
    removal(
        name="The other proxy",
        settings=settings,
        set_name=other.set_name(settings),
        unit=other.UNIT,
    )
