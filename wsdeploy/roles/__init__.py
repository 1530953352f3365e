"""What a host does in the fleet: a pyinfra deploy for each role."""

from wsdeploy.roles.app import app, retired
from wsdeploy.roles.base import base
from wsdeploy.roles.proxy import proxy
from wsdeploy.roles.verify import verify

__all__ = ["app", "base", "proxy", "retired", "verify"]
