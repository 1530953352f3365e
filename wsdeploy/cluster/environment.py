"""What a pod's app is told: variables, where each is kept, and the command that runs. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from wsdeploy.cluster import manifest
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.plan.host.limits import BACKLOG_LEAST, CLOSE_TIMEOUT, OPEN_TIMEOUT
from wsdeploy.settings import secret_values

VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def fixed(target: ClusterTarget) -> dict[str, str]:
    """Return the variables that follow from the release; the image has them, too."""
    return {
        "HOME": target.data,
        "LANG": "C.UTF-8",
        # The root is read-only.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{target.folder}/lib:{target.folder}/app",
        "PYTHONUNBUFFERED": "1",
        "WS_APP": f"{target.folder}/app",
    }


def listen(target: ClusterTarget) -> dict[str, str]:
    """Return where the app listens.

    They stand in the pod itself. A Service called `ws` would put WS_PORT=tcp://… into the pods of
    its namespace, which only what stands there overrides.
    """
    address, port = target.kubernetes.address, target.settings.app.port
    return {"WS_HOST": address, "WS_PORT": str(port)}


def variables(target: ClusterTarget) -> dict[str, str]:
    """Return the app's variables, but for its secrets.

    Whoever may read the namespace's ConfigMaps sees them.
    """
    settings, kubernetes = target.settings, target.kubernetes
    app, edge = settings.app, settings.edge
    found = fixed(target) | {
        # A pod's network has the kernel's own default of net.core.somaxconn, which is this.
        "WS_BACKLOG": str(BACKLOG_LEAST),
        "WS_CLOSE_CODE": str(app.close_code),
        "WS_CLOSE_TIMEOUT": str(CLOSE_TIMEOUT),
        "WS_COMPRESSION": app.compression,
        "WS_DRAIN": f"{app.drain:g}",
        "WS_LOG_FORMAT": "json",
        "WS_LOG_LEVEL": app.log_level,
        # Further clients get 503, and the pod stays ready: one that is not is the first to go.
        "WS_MAX_CONNECTIONS": str(settings.max_connections),
        "WS_MAX_SIZE": str(app.max_size),
        "WS_OPEN_TIMEOUT": str(OPEN_TIMEOUT),
        "WS_PING_INTERVAL": f"{app.ping_interval:g}",
        "WS_PING_TIMEOUT": "off" if app.ping_timeout is None else f"{app.ping_timeout:g}",
    }
    if app.max_age is not None:
        found["WS_MAX_AGE"] = f"{app.max_age:.15g}"
    if kubernetes.settle:
        found["WS_SETTLE"] = str(kubernetes.settle)
    # Our own HAProxy checks them, too; other ways in can't. Pods outlive a way in: old ones come
    # back by a rollback, and new ones are there before the way in is another one.
    if edge.origins:
        found["WS_ORIGINS"] = ", ".join(edge.origins)
        found["WS_ORIGIN_REQUIRED"] = str(int(edge.origin_required))
    return {**found, **app.broker_variables(settings.name), **app.env}


def digest(values: Mapping[str, str]) -> str:
    """Return what ends the name of an immutable object: other values make another name."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def config_name(target: ClusterTarget) -> str:
    """Return the name of the ConfigMap, which is another one for other variables."""
    return f"{target.name}-{digest(variables(target))}"


def secret_name(target: ClusterTarget) -> str:
    """Return the name of the Secret with the app's secrets. Raises SecretError.

    It follows from their values, and tells nobody what they are.
    """
    if target.kubernetes.existing_secret is not None:
        return target.kubernetes.existing_secret
    marks = {
        name: secret_values.fingerprint(value, f"{target.settings.domain} {name}")
        for name, value in secret_values.values(target.settings.app).items()
    }
    return f"{target.name}-{digest(marks)}"


def command(target: ClusterTarget) -> list[str]:
    """Return the command of a pod, with the values of variables put in, as on a host."""
    return _filled(target, variables(target) | listen(target), escape=True)


def entrypoint(target: ClusterTarget) -> list[str]:
    """Return the command of the image."""
    return _filled(target, fixed(target) | listen(target), escape=False)


def _filled(target: ClusterTarget, values: Mapping[str, str], *, escape: bool) -> list[str]:
    app, interpreter = target.settings.app, target.kubernetes.image.interpreter
    words = [*(app.command or ("python", f"{target.folder}/{target.main}"))]
    if words[0] == "python":
        words[0] = interpreter
    filled = [VARIABLE.sub(lambda m: values.get(m[1] or m[2], m[0]), word) for word in words]
    return [manifest.argument(word) if escape else word for word in filled]
