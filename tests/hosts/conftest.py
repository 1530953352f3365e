"""Check a deployed fleet: pytest tests/hosts --inventory inventories/prod.py.

The checks are wsdeploy's. Those of your own are files beside this one, named test_NAME.py; the
fixtures that they can use are in wsdeploy/checks/plugin.py.
"""

from wsdeploy.checks.plugin import *  # noqa: F403
