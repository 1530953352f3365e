"""Put a Python websockets server into production on hosts, in clusters, on platforms.

Inventories import the settings from here. `pyinfra INVENTORY wsdeploy.COMMAND` finds the day-2
commands here: those of COMMANDS.
"""

from importlib import import_module
from typing import Any

from wsdeploy.inventory import hosts, platform, pods
from wsdeploy.settings import (
    Acme,
    App,
    Behind,
    CertFiles,
    Dokku,
    Edge,
    Failover,
    Firewall,
    Fly,
    FromCommand,
    FromEnv,
    FromFile,
    HAProxy,
    Heroku,
    HTTPRoute,
    Image,
    Ingress,
    Koyeb,
    Kubernetes,
    Leaving,
    LoadBalancer,
    Metrics,
    Nginx,
    Probe,
    Render,
    Replicas,
    SelfSigned,
    Settings,
    SettingsError,
)

__version__ = "0.1.0"

__all__ = [
    "Acme",
    "App",
    "Behind",
    "CertFiles",
    "Dokku",
    "Edge",
    "Failover",
    "Firewall",
    "Fly",
    "FromCommand",
    "FromEnv",
    "FromFile",
    "HAProxy",
    "HTTPRoute",
    "Heroku",
    "Image",
    "Ingress",
    "Koyeb",
    "Kubernetes",
    "Leaving",
    "LoadBalancer",
    "Metrics",
    "Nginx",
    "Probe",
    "Render",
    "Replicas",
    "SelfSigned",
    "Settings",
    "SettingsError",
    "hosts",
    "platform",
    "pods",
]

COMMANDS = {
    "capacity": "deploy.roles",
    "certificates": "deploy.operations",
    "logs": "deploy.operations",
    "releases": "deploy.operations",
    "remove": "deploy.roles",
    "restart": "deploy.roles",
    "rollback": "deploy.roles",
    "seal": "deploy.roles",
    "status": "deploy.operations",
    "unlock": "deploy.operations",
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: settings are pure, and commands need all of pyinfra.
    if name in COMMANDS:
        return getattr(import_module(f"wsdeploy.{COMMANDS[name]}"), name)
    raise AttributeError(name)
