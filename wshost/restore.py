"""Roll out what this host has a record of: an earlier generation, or the live one anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from wshost import anew, generations, history, rollout


def main(request: dict[str, Any]) -> None:
    """Bring back the generation `restore` of `name`, or start the live one anew if that is null.

    Further keys: `by`, who wants it, and `later`, the hosts whose turn comes after this one.
    """
    name, wanted = request["name"], request["restore"]
    action = "rollback" if wanted else "restart"
    identity = wanted or generations.live(name)
    record = history.record(name, identity) if identity else None
    if record is None:
        what = f"of generation {identity}" if identity else "of a generation that serves"
        sys.exit(f"there is no record {what}; deploy first")
    again = record.request | {key: request[key] for key in ("by", "later")}
    if action == "restart":
        again = anew.renamed(again, anew.next_identity(record.identity))
    if not Path(f"/srv/{name}/releases/{again['release']}").is_dir():
        sys.exit(f"release {again['release']} of generation {identity} is not on this host")
    rollout.carry_out(again, action)
