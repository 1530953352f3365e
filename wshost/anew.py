"""The same generation once more, by another identity, beside the one that serves."""

from __future__ import annotations

import base64
import re
from typing import Any


def next_identity(identity: str) -> str:
    """Return what a generation is called when it is started anew.

    >>> next_identity("0123456789ab"), next_identity("0123456789ab-9")
    ('0123456789ab-1', '0123456789ab-10')
    """
    digest, _, serial = identity.partition("-")
    return f"{digest}-{int(serial or 0) + 1}"


def renamed(request: dict[str, Any], identity: str) -> dict[str, Any]:
    """Return a rollout's request for the same release and environment by another identity."""
    old = re.compile(re.escape(request["generation"]) + r"(?![0-9-])")

    def text(value: str) -> str:
        return old.sub(identity, value)

    def file(entry: dict[str, Any]) -> dict[str, Any]:
        changed = entry | {"path": text(entry["path"])}
        # What the app is told in its environment is not ours to change.
        if not entry["path"].endswith(".env"):
            content = text(base64.b64decode(entry["content"]).decode())
            changed["content"] = base64.b64encode(content.encode()).decode()
        return changed

    return request | {
        "generation": identity,
        "listen": text(request["listen"]),
        "files": [file(entry) for entry in request["files"]],
        "boot": file(request["boot"]),
    }
