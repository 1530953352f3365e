"""What a host does in the fleet: a pyinfra deploy for each role."""

from wsdeploy.roles.app import app, retired
from wsdeploy.roles.base import base
from wsdeploy.roles.capacity import capacity
from wsdeploy.roles.history import restart, rollback
from wsdeploy.roles.proxy import certificate, proxy
from wsdeploy.roles.remove import remove
from wsdeploy.roles.verify import verify

__all__ = [
    "app",
    "base",
    "capacity",
    "certificate",
    "proxy",
    "remove",
    "restart",
    "retired",
    "rollback",
    "verify",
]
