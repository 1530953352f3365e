"""Checks of the files on this machine that settings name."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from wsdeploy import command_line
from wsdeploy.release import source
from wsdeploy.settings import secret_values
from wsdeploy.settings.app import App
from wsdeploy.settings.section import Problem
from wsdeploy.settings.service import Settings, SettingsError
from wsdeploy.settings.tls import Acme, CertFiles


def check(settings: Settings, source: str = "settings") -> None:
    """Raise SettingsError with every problem of settings and of the files that they name."""
    if found := [*settings.all_problems(), *problems(settings)]:
        raise SettingsError(source, found)


def problems(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with files on the machine that deploys, if this run needs them.

    Who only rolls back has neither the app's code nor its secrets.
    """
    if command_line.deploys(sys.argv[1:]):
        yield from _problems(settings.domain, settings.app, settings.tls)


def _problems(domain: str, app: object, tls: object) -> Iterator[Problem]:
    # app and tls are of any type where the inventory file has something else there.
    if isinstance(app, App):
        # An empty path is a setting that was not given, which has been reported already.
        if app.path:
            yield from _app(app)
        yield from secret_values.problems(app)
    if isinstance(tls, CertFiles) or (isinstance(tls, Acme) and tls.authority is not None):
        # What reads certificates takes longer to load than the rest of the settings.
        from wsdeploy.inventory import local_certificates  # noqa: PLC0415

        yield from local_certificates.problems(domain, tls)


def _app(app: App) -> Iterator[Problem]:
    try:
        source.of(app)
    except source.SourceError as error:
        yield from error.problems
