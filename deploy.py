"""Deploy the WebSocket service of an inventory; run again, change nothing.

    pyinfra inventories/prod.py deploy.py

The inventory says what the service is. Operations of your own go before or after `service()`; each
runs on every host, unless you choose hosts by `host.groups`, which has `app`, `proxy`, or both.
Hosts in groups of your own, such as `metrics = [...]` in the inventory, get your operations alone.
"""

from wsdeploy.deploy.service import service

service()
