"""Checks of the files on this machine that settings name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from wsdeploy import command_line
from wsdeploy.release import bundled, source
from wsdeploy.settings import secret_values
from wsdeploy.settings.app import App
from wsdeploy.settings.secrets import FromFile
from wsdeploy.settings.section import Problem, refused
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
    if command_line.bundles(sys.argv[1:]):
        # Its secrets and certificates are on the machines that will be.
        if isinstance(settings.app, App):
            yield from app_problems(settings.app, settings.tls, secrets=False)
    elif command_line.deploys(sys.argv[1:]):
        yield from _problems(settings.domain, settings.app, settings.tls)


def _problems(domain: str, app: object, tls: object) -> Iterator[Problem]:
    # app and tls are of any type where the inventory file has something else there.
    if isinstance(app, App):
        yield from app_problems(app, tls)
    if isinstance(tls, CertFiles) or (isinstance(tls, Acme) and tls.authority is not None):
        # What reads certificates takes longer to load than the rest of the settings.
        from wsdeploy.inventory import local_certificates  # noqa: PLC0415

        yield from local_certificates.problems(domain, tls)


def app_problems(app: App, tls: object, *, secrets: bool = True) -> Iterator[Problem]:
    """Yield what is wrong with the app's files and its secrets, or with its files alone.

    tls: what may name a key that would be one of those files.
    """
    # An empty path is a setting that was not given, which has been reported already.
    if app.path and not bundled.here():
        yield from _app(app)
    if secrets:
        yield from secret_values.problems(app)
    yield from travelling(app, _secret_files(app, tls))


def _app(app: App) -> Iterator[Problem]:
    try:
        source.of(app)
    except source.SourceError as error:
        yield from error.problems


def _secret_files(app: App, tls: object) -> dict[str, str]:
    """Return the files of settings that only root may read on a host, by the settings' names."""
    sources = {
        "app.probe.send": app.probe.send,
        **{f"app.secrets.{name}": each for name, each in app.secrets.items()},
    }
    found = {name: each.path for name, each in sources.items() if isinstance(each, FromFile)}
    return found | ({"tls.key": tls.key} if isinstance(tls, CertFiles) else {})


def travelling(app: App, secret: dict[str, str]) -> Iterator[Problem]:
    """Yield which secret files would be part of the app's release, which any user of a host reads.

    secret: their paths on this machine, by the names of the settings that have them.
    """
    if bundled.here() or not command_line.deploys(sys.argv[1:]):
        return
    home = Path(app.path).resolve()
    try:
        released = source.of(app).tree.files
    except source.SourceError:
        # Which is said already.
        return
    for setting, path in secret.items():
        place = Path(os.path.expanduser(path)).resolve()
        if place.is_relative_to(home) and str(place.relative_to(home)) in released:
            wanted = (
                "it is in the app's folder, and would be part of the release, which every user of "
                "a host can read; keep it elsewhere, or out of git, or in app.exclude"
            )
            yield refused(setting, path, wanted)
