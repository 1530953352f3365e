"""Certificates that a host makes for itself."""

from __future__ import annotations

import datetime
from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host

from wsdeploy import facts
from wsdeploy.files import Command
from wsdeploy.operations.send import change, explain
from wsdeploy.plan import places, tls
from wsdeploy.settings import Settings


@operation()
def self_signed(
    settings: Settings, activate: tuple[Command, ...]
) -> Generator[StringCommand, None, None]:
    """Make key and certificate, if there are none, they are for other names, or they end soon.

    activate: commands that let a running proxy use a new certificate.
    """
    reason = tls.outdated(settings, facts.survey(settings), datetime.datetime.now(datetime.UTC))
    if reason is None:
        host.noop("the certificate is good")
        return
    explain([reason])
    yield change(
        "certificate",
        {
            "name": settings.domain,
            "alternative_names": tls.alternative_names(settings),
            "days": tls.days(settings),
            "certificate": places.certificate(settings.name),
            "key": places.key(settings.name),
            "activate": activate,
        },
    )
