"""Ready a machine for an image."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host

from wsdeploy.bundle.project import MACHINE
from wsdeploy.deploy import facts
from wsdeploy.deploy.operations.send import change
from wsdeploy.plan import components
from wsdeploy.settings import CertFiles, FromFile, Settings
from wshost.requests import Seal


@operation()
def seal_machine(settings: Settings) -> Generator[StringCommand, None, None]:
    """Take away what serves, what is secret, and what the machine is known by."""
    target = facts.target(settings)
    request: Seal = {
        "name": settings.name,
        "proxies": [each.unit(settings) for each in components.proxy(settings) if each.unit],
        "secrets": secret_files(settings) if host.name == MACHINE else [],
        "stop_wait": target.limits.stop_wait,
    }
    yield change("config.seal", request)
    host.log("sealed; power the machine off, make the image, and do not boot this machine again")


def secret_files(settings: Settings) -> list[str]:
    """Return the files of secrets that settings name, on the machine that reads them."""
    sources = [*settings.app.secrets.values(), settings.app.probe.send]
    found = [each.path for each in sources if isinstance(each, FromFile)]
    return found + ([settings.tls.key] if isinstance(settings.tls, CertFiles) else [])
