"""Certificates from an authority: the fleet's account, and the first order."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.context import ctx_host, host, state

from wsdeploy.deploy import facts, programs
from wsdeploy.deploy.operations.send import change, failure, log_reasons
from wsdeploy.plan.host import paths, remote
from wsdeploy.plan.proxy import acme
from wsdeploy.settings import Settings
from wshost.requests import Account, OrderNow


class SealedAccount(FactBase[str]):
    """A proxy's account key, encrypted for another proxy; empty if it has none."""

    def command(self) -> str:
        """Return the command; for whom to encrypt goes to its standard input."""
        return remote.command("certificates.acme_account")

    def process(self, output: list[str]) -> str:
        """Return the encrypted key in PEM."""
        return "\n".join(output) + "\n" if output else ""


@operation()
def account_key(settings: Settings) -> Generator[StringCommand, None, None]:
    """Make the key of the fleet's account with the authority, on the first proxy of the run."""
    if host.name != _first(settings).name:
        host.noop("the key comes from another proxy")
    elif acme.thumbprint(facts.target(settings)):
        host.noop("there is a key")
    else:
        request: Account = {"folder": paths.acme(settings.name)}
        yield change("certificates.acme_account", request)


@operation()
def shared_account_key(settings: Settings) -> Generator[StringCommand, None, None]:
    """Take over the account key of the first proxy, so that any proxy can answer a challenge.

    The key passes through this machine, but only the receiving host can read it.
    """
    first = _first(settings)
    if host.name == first.name:
        host.noop("the key is this proxy's own")
        return
    own = facts.target(settings)
    with ctx_host.use(first):
        wanted = acme.thumbprint(facts.target(settings))
    if wanted and acme.thumbprint(own) == wanted:
        host.noop(f"the key is that of {first.name}")
        return
    request: Account = {"folder": paths.acme(settings.name)}
    if not state.is_executing:
        yield change("certificates.acme_account", request)
        return
    recipient = (own.survey.certificates.get(paths.certificate(settings.name)) or {}).get("pem")
    to_seal: Account = {**request, "seal_for": recipient}
    asked = programs.payload("certificates.acme_account", to_seal, host=first)
    sealed = first.get_fact(SealedAccount, _stdin=asked)
    if not sealed:
        yield failure(f"{first.name} has no account key")
        return
    log_reasons([f"the key is not that of {first.name}"])
    taken: Account = {
        **request,
        "sealed": sealed,
        "certificate": paths.certificate(settings.name),
        "key": paths.key(settings.name),
    }
    yield change("certificates.acme_account", taken)


@operation()
def order_certificate(settings: Settings) -> Generator[StringCommand, None, None]:
    """Order a certificate, if there is none for these settings yet, and let the proxy use it.

    If the authority gives none, the run fails with what it answered. The service goes on with the
    certificate that it has, and the timer tries again.
    """
    reason = acme.outstanding(facts.target(settings))
    if reason is None:
        host.noop("the certificate is from the authority")
        return
    log_reasons([reason])
    request: OrderNow = {"unit": acme.service(settings)}
    yield change("certificates.order_now", request)


def _first(settings: Settings) -> Host:
    """Return the first proxy of the inventory that is part of this run."""
    connected = {each.name: each for each in state.activated_hosts}
    return next(connected[name] for name in settings.topology.proxy if name in connected)
