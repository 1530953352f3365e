"""Proxy hosts: TLS, balancing, and protection against the Internet."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy import facts
from wsdeploy.files import FileSet
from wsdeploy.operations import configuration, removal, self_signed
from wsdeploy.plan import proxies
from wsdeploy.settings import SelfSigned, Settings
from wsdeploy.survey import Survey


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
        plan=_files,
        undone=chosen.undone,
    )
    removal(
        name="The other proxy",
        settings=settings,
        set_name=other.set_name(settings),
        unit=other.UNIT,
    )


def _files(settings: Settings, survey: Survey) -> FileSet:
    known = facts.identities(settings) if settings.internal_tls else {}
    return proxies.chosen(settings).files(settings, survey, host.name, known)
