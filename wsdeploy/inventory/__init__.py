"""Inventories: groups of hosts, or a cluster, and what is checked on this machine."""

from wsdeploy.inventory.clusters import Cluster, pods
from wsdeploy.inventory.fleet import Fleet, Host, load, read
from wsdeploy.inventory.groups import hosts
from wsdeploy.inventory.project import Project, platform

__all__ = ["Cluster", "Fleet", "Host", "Project", "hosts", "load", "platform", "pods", "read"]
