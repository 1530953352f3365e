"""Debian packages, in one go."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host

from wsdeploy.deploy import facts
from wsdeploy.deploy.operations.send import change_without_python
from wsdeploy.plan import components
from wsdeploy.plan.host import upgrades
from wsdeploy.plan.host.remote import AS_ROOT, PROGRAMS
from wsdeploy.settings import Settings


@operation()
def packages(settings: Settings) -> Generator[StringCommand, None, None]:
    """Install what the host's roles need; their services stay down until they are configured.

    Waits for cloud-init and for whoever else is installing packages. Versions are Debian's; what
    is installed is left as it is.
    """
    survey = facts.survey(settings)
    missing = [p for p in components.packages(settings, host.name) if p not in survey.packages]
    busy = survey.system.get("cloud_init") == "running"
    if not (missing or busy or upgrades.installing(survey)):
        host.noop("packages are installed")
        return
    script = (PROGRAMS / "config/install_packages.sh").read_text()
    # On standard input, so that what the host logs of its commands stays short.
    yield change_without_python(f"{AS_ROOT} sh -s -- {' '.join(missing)}", script)
