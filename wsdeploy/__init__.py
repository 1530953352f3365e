"""Put a Python websockets server into production on your own Debian machines.

Inventories import the settings from here. `pyinfra INVENTORY wsdeploy.COMMAND` finds the day-2
commands here: `certificates`.
"""

from typing import Any

from wsdeploy.settings import (
    App,
    CertFiles,
    FromCommand,
    FromEnv,
    FromFile,
    HAProxy,
    Nginx,
    Probe,
    SelfSigned,
    Settings,
    SettingsError,
)

__all__ = [
    "App",
    "CertFiles",
    "FromCommand",
    "FromEnv",
    "FromFile",
    "HAProxy",
    "Nginx",
    "Probe",
    "SelfSigned",
    "Settings",
    "SettingsError",
]

COMMANDS = ("certificates",)


def __getattr__(name: str) -> Any:
    # Imported when asked for: settings are pure, and commands need all of pyinfra.
    if name in COMMANDS:
        from wsdeploy import operations  # noqa: PLC0415

        return getattr(operations, name)
    raise AttributeError(name)
