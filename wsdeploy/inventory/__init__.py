"""Inventories: the groups that an inventory file makes, and what is checked on this machine."""

from wsdeploy.inventory.fleet import Fleet, Host, PlatformError, load
from wsdeploy.inventory.groups import hosts
from wsdeploy.inventory.project import platform

__all__ = ["Fleet", "Host", "PlatformError", "hosts", "load", "platform"]
