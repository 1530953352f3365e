"""Proxy hosts: TLS, balancing, and protection against the Internet."""

from __future__ import annotations

from dataclasses import replace

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy import facts
from wsdeploy.deploy.operations import (
    account_key,
    configuration,
    issued,
    removal,
    self_signed,
    shared_account_key,
)
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import acme, proxies, reach
from wsdeploy.settings import CertFiles, Settings


@deploy("Proxy")
def proxy() -> None:
    """Let a host accept clients and pass them to the app's processes."""
    settings = host.data.settings
    chosen, other = proxies.chosen(settings), proxies.other(settings)
    if isinstance(settings.tls, CertFiles):
        configuration(name="Certificate", settings=settings, plan=proxies.pushed_certificate)
    else:
        # Where it comes from an authority, one that only stands in for it: the proxy has to be
        # there to answer the authority's question.
        activate = proxies.new_certificate(settings)
        self_signed(name="Certificate", settings=settings, activate=activate)
    if acme.wanted(settings):
        account_key(name="Account key", settings=settings)
        shared_account_key(name="Account key of the other proxies", settings=settings)
    if reach.wanted(settings):
        configuration(
            name="App hosts that do not answer", settings=settings, plan=_reach, undone=reach.undone
        )
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

    if not reach.wanted(settings):
        removal(
            name="App hosts that do not answer",
            settings=settings,
            set_name=reach.set_name(settings),
            unit=reach.unit(settings),
        )


@deploy("Proxy")
def certificate() -> None:
    """Let a proxy get its certificate from an authority, and renew it by itself."""
    settings = host.data.settings
    if acme.wanted(settings):
        configuration(name="Renewal", settings=settings, plan=proxies.renewal, undone=acme.undone)
        issued(name="Certificate of the authority", settings=settings)
    else:
        removal(
            name="Renewal",
            settings=settings,
            set_name=acme.set_name(settings),
            unit=acme.timer(settings),
            absent=(acme.issued_path(settings),),
        )


def _files(settings: Settings, survey: Survey) -> FileSet:
    known = facts.identities(settings) if settings.internal_tls else {}
    survey = replace(survey, app_processes=facts.app_processes(settings, survey))
    return proxies.chosen(settings).files(settings, survey, host.name, known)


def _reach(settings: Settings, survey: Survey) -> FileSet:
    survey = replace(survey, app_processes=facts.app_processes(settings, survey))
    return reach.files(settings, survey, host.name)
