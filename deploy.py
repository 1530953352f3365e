"""Turn fresh Debian hosts into a WebSocket service; run again, change nothing.

    pyinfra inventories/prod.py deploy.py

What the service is stands in the inventory. Operations of your own go before or after `service()`;
each runs on every host, those of a role on hosts whose `host.groups` has the role's name. Hosts of
a group that only you know, such as `metrics = [...]` in the inventory, get yours alone.
"""

from wsdeploy.deploy.service import service

service()
