"""Operations: thin steps that compare a host's survey with its plan, and fix the difference.

Each costs nothing over SSH on a host that is as planned, beyond the one survey that all of them
share, and one exchange on a host that is not.
"""

from wsdeploy.deploy.operations.acme import account_key, order_certificate, shared_account_key
from wsdeploy.deploy.operations.app import generation, release, release_command, retire
from wsdeploy.deploy.operations.capacity import measure, report_fleet, report_host
from wsdeploy.deploy.operations.certificate import make_host_keypairs, self_signed
from wsdeploy.deploy.operations.certificates import certificates
from wsdeploy.deploy.operations.configuration import configuration, removal
from wsdeploy.deploy.operations.firewall import firewall
from wsdeploy.deploy.operations.flow import barrier, rollout_order
from wsdeploy.deploy.operations.handshake import handshake
from wsdeploy.deploy.operations.history import releases, restore
from wsdeploy.deploy.operations.lock import take_lock, take_over_lock, unlock
from wsdeploy.deploy.operations.logs import logs
from wsdeploy.deploy.operations.neighbours import neighbours
from wsdeploy.deploy.operations.packages import packages
from wsdeploy.deploy.operations.platform import platform_files
from wsdeploy.deploy.operations.remove import remove_service
from wsdeploy.deploy.operations.seal import seal_machine
from wsdeploy.deploy.operations.status import status

__all__ = [
    "account_key",
    "barrier",
    "certificates",
    "configuration",
    "firewall",
    "generation",
    "handshake",
    "logs",
    "make_host_keypairs",
    "measure",
    "neighbours",
    "order_certificate",
    "packages",
    "platform_files",
    "release",
    "release_command",
    "releases",
    "removal",
    "remove_service",
    "report_fleet",
    "report_host",
    "restore",
    "retire",
    "rollout_order",
    "seal_machine",
    "self_signed",
    "shared_account_key",
    "status",
    "take_lock",
    "take_over_lock",
    "unlock",
]
