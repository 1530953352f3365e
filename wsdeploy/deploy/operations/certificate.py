"""Keys and certificates that a host makes for itself."""

from __future__ import annotations

import datetime
from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host

from wsdeploy.deploy import facts
from wsdeploy.deploy.operations.send import change, log_reasons
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.files import Command
from wsdeploy.plan.proxy import host_keypairs as pairs
from wsdeploy.plan.proxy import internal, tls
from wsdeploy.settings import Settings
from wshost.requests import SelfSigned


@operation()
def self_signed(
    settings: Settings, activate: tuple[Command, ...]
) -> Generator[StringCommand, None, None]:
    """Make key and certificate, if there are none, they are for other names, or they end soon.

    activate: commands that let a running proxy use a new certificate.
    """
    reason = tls.outdated(facts.target(settings), datetime.datetime.now(datetime.UTC))
    if reason is None:
        host.noop("the certificate is good")
        return
    log_reasons([reason])
    request: SelfSigned = {
        "name": settings.domain,
        "alternative_names": tls.alternative_names(settings),
        "days": tls.days(settings),
        "certificate": paths.certificate(settings.name),
        "key": paths.key(settings.name),
        "activate": [[*command] for command in activate],
    }
    yield change("certificates.self_signed", request)


@operation()
def make_host_keypairs(settings: Settings) -> Generator[StringCommand, None, None]:
    """Make the two key pairs by which the other tier knows this host, or what is missing of them.

    Others trust both. If the one that is used ends soon, or is not there, the spare one is used.
    """
    target = facts.target(settings)
    todo = pairs.work(target, datetime.datetime.now(datetime.UTC))
    if todo:
        log_reasons([f"key pairs: {', '.join(todo)}"])
        activate = internal.use_new_keypair(target)
        yield change("certificates.host_keypairs", pairs.request_for_work(settings, todo, activate))
    else:
        host.noop("both pairs are good")
    facts.note_host_certificates(settings)
