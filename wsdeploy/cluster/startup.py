"""The startup probe of the app's pods: a WebSocket, before a pod gets clients. Pure.

Kubernetes' own probes see an answer to a GET, and not that handshakes fail: without this one, a
release that answers `app.health` and refuses every client would take over.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import cache

from wsdeploy.cluster import manifest
from wsdeploy.plan.host import remote
from wsdeploy.settings import Settings
from wsdeploy.settings.cluster import Kubernetes
from wshost.requests import Startup

FOLDER = "/usr/lib/wsdeploy/startup"
"""Where the image has the program."""
PROGRAM = "rollout.startup"
TYPES = "wshost/requests.py"
"""What its files name for mypy alone."""
MAIN = f"""\
import json
import sys

from wshost.{PROGRAM} import main

main(json.loads(sys.argv[1]))
"""

PERIOD = 2
"""Seconds between two tries. Each starts Python, which takes 0.1 s of a core, and 0.3 s on a base
without bytecode: every second, that would be a third of what a pod asks for."""
WAIT = 1.5
"""Seconds for which a try waits until the app listens: less than a period."""
STEP = 3
"""Seconds for each step of the handshake."""
TIMEOUT = 10
"""Seconds for a try on a busy node: above the others, so that the program says what is wrong."""


@cache
def files() -> dict[str, str]:
    """Return the program's files by their paths in the image."""
    own = {path: remote.source(path) for path in remote.closure(PROGRAM) if path != TYPES}
    return {f"{FOLDER}/{path}": text for path, text in {"__main__.py": MAIN, **own}.items()}


@cache
def digest() -> str:
    """Return what tells versions of the program apart."""
    return hashlib.sha256(json.dumps(files(), sort_keys=True).encode()).hexdigest()


def probe(settings: Settings, kubernetes: Kubernetes) -> dict[str, object]:
    """Return the probe, but for how long a pod that fails it has to end."""
    tries = math.ceil(settings.app.start_timeout / PERIOD) + 1
    return {
        "exec": {"command": command(settings, kubernetes)},
        "periodSeconds": PERIOD,
        "timeoutSeconds": TIMEOUT,
        "failureThreshold": tries,
    }


def command(settings: Settings, kubernetes: Kubernetes) -> list[str]:
    """Return the command of a try. -I and -S: neither variables nor packages are in its way."""
    request = json.dumps(_request(settings, kubernetes))
    words = (kubernetes.image.interpreter, "-I", "-S", FOLDER, manifest.argument(request))
    return [*words]


def _request(settings: Settings, kubernetes: Kubernetes) -> Startup:
    asked = settings.app.probe
    # A secret has no place in a pod's command, and its answer does not come without it.
    secret = not (asked.send is None or isinstance(asked.send, str))
    return {
        "target": {
            "host": settings.domain,
            "path": asked.path,
            "address": ["::1" if kubernetes.address == "::" else "127.0.0.1", settings.app.port],
            "tls": False,
            "authority": None,
            "origin": settings.edge.some_origin(),
        },
        "send": asked.send if isinstance(asked.send, str) else None,
        "expect": None if secret else asked.expect,
        "timeout": STEP,
        "wait": WAIT,
    }
