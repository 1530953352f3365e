"""Inventories: the groups that an inventory file makes, and what is checked on this machine."""

from wsdeploy.inventory.fleet import Fleet, Host, load
from wsdeploy.inventory.groups import hosts

__all__ = ["Fleet", "Host", "hosts", "load"]
