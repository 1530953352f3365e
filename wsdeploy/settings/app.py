"""What runs behind the proxy: the app, its processes, and how they start and stop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, Literal

from wsdeploy.settings.section import Problem, Section, refused

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The deployment sets these itself; a user's value would be lost without a word.
OWN_VARIABLES = re.compile(r"(WS|SUPERVISOR)_.*|PYTHONPATH")


class Probe(Section):
    """What a client should see: the check that ends a deploy and opens the gate for a release.

    Every probe does a WebSocket handshake, a ping that must be answered with its own payload, and
    a clean close. With `send`, it also sends a message.
    """

    path: str = "/"
    """Path of the handshake, with its query string if the app needs one."""
    send: str | None = None
    """Text message to send after the handshake; None sends none."""
    expect: str | None = None
    """Text that the first message from the app must contain; None accepts any or none."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not re.fullmatch(r"/[!-~]*", self.path):
            yield refused("path", self.path, "give a path that starts with / and has no spaces")


class App(Section):
    """The application: a Python file that serves WebSockets, and how to run it."""

    path: str
    """The Python file to run, relative to the folder that pyinfra is started in."""
    processes: int = 4
    """Processes per host, 1 to 99. One process uses one core; start with one or two per core."""
    requirements: str | None = None
    """Lock file with the app's dependencies, each pinned and with hashes, as written by
    `uv pip compile --universal --generate-hashes`. None takes `requirements.txt` beside the app,
    if there is one."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the app. On the host only root and the app can read them."""
    compression: Literal["off", "low", "medium", "high"] = "medium"
    """Offer of permessage-deflate. Memory per connection is about 14, 46, 64 and 316 KiB
    (websockets documentation, topics/compression)."""
    max_size: int = 1_048_576
    """Largest message that the app accepts, in bytes. Larger ones close with code 1009."""
    ping_interval: float = 20
    """Seconds between the pings that keep connections alive and find dead ones, 1 to 300."""
    ping_timeout: float = 20
    """Seconds to wait for the answer to a ping before the connection counts as dead, 1 to 300."""
    drain: float = 30
    """Seconds over which a process that stops closes its connections, 0 to 3600. Everyone
    reconnects: 10,000 clients in 30 seconds are 333 TLS handshakes a second."""
    close_code: Literal[1001, 1012] = 1012
    """Close code of a drain: 1012 (service restart) or 1001 (going away)."""
    start_timeout: float = 30
    """Seconds within which all processes of a new release must answer, 1 to 600."""
    probe: Probe = field(default_factory=Probe)
    """The check that a process and the whole path through the proxy must pass."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important level that the app logs."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not self.path.endswith(".py"):
            yield refused("path", self.path, "give a Python file, such as 'files/app.py'")
        limits: dict[str, tuple[float, float, str]] = {
            "processes": (1, 99, "a whole number"),
            "max_size": (1, 2**31 - 1, "a whole number of bytes"),
            "ping_interval": (1, 300, "seconds"),
            "ping_timeout": (1, 300, "seconds"),
            "drain": (0, 3600, "seconds"),
            "start_timeout": (1, 600, "seconds"),
        }
        for name, (low, high, unit) in limits.items():
            if not low <= getattr(self, name) <= high:
                yield refused(name, getattr(self, name), f"give {unit} from {low:,} to {high:,}")
        for name, value in self.env.items():
            if not VARIABLE.fullmatch(name):
                yield refused("env", name, "a variable's name is letters, digits and _")
            elif OWN_VARIABLES.fullmatch(name):
                yield refused("env", name, "this variable is set by the deployment; drop it")
            elif "\0" in value:
                yield Problem("env", f"the value of {name} has a NUL character; drop it")

    def to_json(self) -> dict[str, Any]:
        """Return the values, but only the names of environment variables."""
        return super().to_json() | {"env": dict.fromkeys(self.env, "(not shown)")}
