"""Take a service off a host."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host

from wsdeploy.deploy import facts
from wsdeploy.deploy.operations.send import change
from wsdeploy.plan import components
from wsdeploy.settings import Settings
from wshost.requests import Remove


@operation()
def remove_service(
    settings: Settings, role: str, data: bool
) -> Generator[StringCommand, None, None]:
    """Remove the service with all that it has put on the host.

    role: whose turn it is; a host that is both app and proxy has it with the apps.
    data: whether the app's own data goes, too.
    """
    target = facts.target(settings)
    marker = components.SYSTEM.marker(settings)
    if marker not in target.survey.paths or (role == "proxy" and target.is_app):
        host.noop(f"{settings.name} is not there")
        return
    request: Remove = {
        "name": settings.name,
        "units": components.units(settings),
        "debian_units": components.debian_units(settings),
        "leaves": components.leaves(settings),
        "stop_wait": target.limits.stop_wait,
        "data": data,
    }
    yield change("config.remove", request)
    if not data:
        host.log(f"the app's own data stays in /var/lib/{settings.name}")
