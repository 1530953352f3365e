"""Throwaway Debian hosts on this machine: whole systems with systemd and SSH, up in seconds.

    from wsdeploy import sandbox

    web, db = sandbox.up("web", "db:trixie")
    print(web.address, web.domain, web.ssh_data())

Everything here raises SandboxError, whose text is one clear line, and needs root.
"""

from wsdeploy_sandbox.base import Layer
from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.host import SandboxHost
from wsdeploy_sandbox.lifecycle import (
    down,
    find,
    give_way,
    hosts,
    plug_in,
    poweroff,
    reboot,
    unplug,
    up,
)

__all__ = [
    "Layer",
    "SandboxError",
    "SandboxHost",
    "down",
    "find",
    "give_way",
    "hosts",
    "plug_in",
    "poweroff",
    "reboot",
    "unplug",
    "up",
]
