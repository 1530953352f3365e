"""The client that sees whether a proxy serves: on its host, over TLS, as others come. Pure."""

from __future__ import annotations

from wsdeploy.plan.host import paths
from wsdeploy.settings import Settings, secret_values
from wshost import requests

PATIENCE = 10
"""Seconds for each step of the handshake."""
GLANCE = 2
"""The same for a client that is only part of a survey, which waits for it."""


def request(settings: Settings, timeout: float) -> requests.Handshake:
    """Return what the client does. timeout: seconds for each step. Raises SecretError."""
    probe = settings.app.probe
    return {
        "target": {
            "host": settings.domain,
            "path": probe.path,
            "address": ["localhost", 443],
            "tls": True,
            # Whether others trust it too is for whoever issued it.
            "authority": paths.certificate(settings.name),
            "origin": settings.edge.some_origin(),
        },
        "timeout": timeout,
        "send": secret_values.message(settings.app),
        "expect": probe.expect,
    }
