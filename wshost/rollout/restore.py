"""Roll out what this host has a record of: an earlier generation, or the live one anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.common import progress
from wshost.rollout import generations, history, rollout

if TYPE_CHECKING:
    from wshost.requests import Restore, Rollout


def main(request: Restore) -> None:
    """Bring back a generation, or start the live one anew; exit 1 with the reason if it fails."""
    name, wanted = request["name"], request["restore"]
    action = "rollback" if wanted else "restart"
    generation_id = wanted or generations.live(name)
    record = history.record(name, generation_id) if generation_id else None
    if record is None:
        what = f"of generation {generation_id}" if generation_id else "of a generation that serves"
        sys.exit(f"there is no record {what}; deploy first")
    again: Rollout = {**record.request, "by": request["by"], "later": request["later"]}
    if action == "restart":
        # The run has not asked before: it changes nothing about what serves.
        progress.tell({"served": history.serving(record.request)})
        again["generation"] = generations.next_id(record.id)
    if not Path(f"/srv/{name}/releases/{again['release']}").is_dir():
        sys.exit(f"release {again['release']} of generation {generation_id} is not on this host")
    rollout.carry_out(again, action)
