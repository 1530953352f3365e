"""Proxy hosts: TLS, balancing, and protection against the Internet."""

from __future__ import annotations

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy.operations import (
    account_key,
    order_certificate,
    self_signed,
    shared_account_key,
)
from wsdeploy.deploy.roles.component import set_up, take_away, wanted
from wsdeploy.plan import components
from wsdeploy.plan.components import (
    FAILOVER,
    PUSHED_CERTIFICATE,
    REACH,
    RENEWAL,
    SHARED_ADDRESSES,
)
from wsdeploy.plan.proxy import proxies


@deploy("Proxy")
def proxy() -> None:
    """Let a host accept clients and pass them to the app's processes."""
    settings = host.data.settings
    chosen, other = components.proxy(settings)
    if wanted(PUSHED_CERTIFICATE):
        set_up(PUSHED_CERTIFICATE)
    else:
        # Where it comes from an authority, one that only stands in for it: the proxy has to be
        # there to answer the authority's question.
        activate = proxies.new_certificate(settings)
        self_signed(name=PUSHED_CERTIFICATE.title, settings=settings, activate=activate)
    if wanted(RENEWAL):
        account_key(name="Account key", settings=settings)
        shared_account_key(name="Account key of the other proxies", settings=settings)
    if wanted(REACH):
        set_up(REACH)
    set_up(chosen)
    take_away(other, "No other proxy")
    if not wanted(REACH):
        # The proxy's configuration may have relied on it until now.
        take_away(REACH)
    # Only a host that serves may get an address; one that leaves gives it up first.
    for each in (SHARED_ADDRESSES, FAILOVER) if wanted(FAILOVER) else (FAILOVER, SHARED_ADDRESSES):
        set_up(each)


@deploy("Proxy")
def certificate() -> None:
    """Let a proxy get its certificate from an authority, and renew it by itself."""
    set_up(RENEWAL)
    if wanted(RENEWAL):
        order_certificate(name="Certificate of the authority", settings=host.data.settings)
