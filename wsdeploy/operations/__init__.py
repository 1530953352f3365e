"""Operations: thin steps that compare a host's survey with its plan, and mend the difference.

Each costs nothing over SSH on a host that is as planned, beyond the one survey that all of them
share, and one exchange on a host that is not.
"""

from wsdeploy.operations.acme import account_key, issued, shared_account_key
from wsdeploy.operations.app import generation, release, retire
from wsdeploy.operations.capacity import measured, summed_up, told
from wsdeploy.operations.certificate import identity, self_signed
from wsdeploy.operations.certificates import certificates
from wsdeploy.operations.configuration import configuration, removal
from wsdeploy.operations.firewall import firewall
from wsdeploy.operations.flow import barrier, turn
from wsdeploy.operations.handshake import handshake
from wsdeploy.operations.history import releases, restore
from wsdeploy.operations.lock import locked, unlock
from wsdeploy.operations.neighbours import neighbours
from wsdeploy.operations.packages import packages
from wsdeploy.operations.remove import removed

__all__ = [
    "account_key",
    "barrier",
    "certificates",
    "configuration",
    "firewall",
    "generation",
    "handshake",
    "identity",
    "issued",
    "locked",
    "measured",
    "neighbours",
    "packages",
    "release",
    "releases",
    "removal",
    "removed",
    "restore",
    "retire",
    "self_signed",
    "shared_account_key",
    "summed_up",
    "told",
    "turn",
    "unlock",
]
