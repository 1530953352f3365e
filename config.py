"""pyinfra's own settings, which it reads from this file by itself."""

from pyinfra import config

from wsdeploy.deploy import start

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

# Stop at the first failure. Without this, hosts that fail drop out and the others go on, which
# would let a proxy be set up in front of an app that is down.
config.FAIL_PERCENT = 0

# A path with a typing error ends here, not in a run without hosts.
start.begin()
