"""Turn fresh Debian hosts into a WebSocket service; run again, change nothing.

    pyinfra inventories/prod.py deploy.py

What the service is stands in the inventory; how a part of it is set up, in wsdeploy/deploy/roles and
templates; what a host should have, in wsdeploy/plan.
"""

from pyinfra import host

from wsdeploy.deploy.operations import barrier
from wsdeploy.deploy.roles import app, base, certificate, proxy, retired, verify

roles = host.data.settings.topology.roles(host.name)

base()

# By now each has the certificates that the others will ask for, if TLS is between the tiers.
barrier(name="Every host is prepared")

if "app" in roles:
    app()

# Proxies learn of processes only when all of them are there.
barrier(name="The app serves on every host")

if "proxy" in roles:
    proxy()
    verify()

# Only now does nothing refer to the old processes any more.
barrier(name="Every proxy passes clients to the new processes")

if "app" in roles:
    retired()

# Last, as all the rest goes on without the authority's answer.
if "proxy" in roles:
    certificate()
