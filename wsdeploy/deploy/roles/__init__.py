"""What a host does in the fleet: a pyinfra deploy for each role."""

from wsdeploy.deploy.roles.app import after_release, app, retire_old_generations
from wsdeploy.deploy.roles.base import base
from wsdeploy.deploy.roles.capacity import capacity
from wsdeploy.deploy.roles.history import restart, rollback
from wsdeploy.deploy.roles.proxy import certificate, proxy
from wsdeploy.deploy.roles.remove import remove
from wsdeploy.deploy.roles.seal import seal
from wsdeploy.deploy.roles.verify import verify

__all__ = [
    "after_release",
    "app",
    "base",
    "capacity",
    "certificate",
    "proxy",
    "remove",
    "restart",
    "retire_old_generations",
    "rollback",
    "seal",
    "verify",
]
