"""Roll out what this host has a record of: an earlier generation, or the live one anew."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path
from typing import Any

from wshost import generations, history, rollout


def main(request: dict[str, Any]) -> None:
    """Bring back the generation `restore` of `name`, or start the live one anew if that is null.

    Further keys: `by`, who wants it, and `later`, the hosts whose turn comes after this one.
    """
    name, wanted = request["name"], request["restore"]
    action = "rollback" if wanted else "restart"
    identity = wanted or generations.live(name)
    record = history.record(name, identity) if identity else None
    if record is None:
        sys.exit(f"there is no record of generation {identity}; deploy first")
    again = record.request | {key: request[key] for key in ("by", "later")}
    if action == "restart":
        again = renamed(again, next_identity(record.identity))
    if not Path(f"/srv/{name}/releases/{again['release']}").is_dir():
        sys.exit(f"release {again['release']} of generation {identity} is not on this host")
    rollout.carry_out(again, action)


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
