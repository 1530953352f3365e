"""What each role does with the parts of a host."""

from __future__ import annotations

from pyinfra.context import host

from wsdeploy.deploy.operations import configuration, removal
from wsdeploy.plan.component import Component
from wsdeploy.plan.target import Target


def set_up(component: Component) -> None:
    """Let the current host have a component, or nothing of it any more if it is not wanted."""
    if wanted(component):
        configuration(name=component.title, settings=host.data.settings, component=component)
    else:
        take_away(component)


def take_away(component: Component, title: str | None = None) -> None:
    """Let the current host have nothing of a component any more. title: if not the component's."""
    removal(name=title or component.title, settings=host.data.settings, component=component)


def wanted(component: Component) -> bool:
    """Tell whether the current host is to have a component."""
    return component.wanted(Target.unknown(host.data.settings, host.name))
