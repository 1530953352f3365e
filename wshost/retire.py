"""Let every generation but the one that serves drain and go, and remove old releases and logs."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wshost import apply_files, generations, supervisor
from wshost.generations import Generation

KEEP = 5
"""Releases and logs of generations that stay, for a rollback and for looking things up."""


def main(request: dict[str, Any]) -> None:
    """Retire what the `generation` in `request` has replaced; `stop_wait` is in seconds."""
    keep = Generation(request["name"], request["generation"])
    try:
        with apply_files.exclusive(apply_files.STATE):
            retired = retire(keep, request["stop_wait"])
            prune(keep)
    except (supervisor.SupervisorError, OSError) as error:
        sys.exit(f"{keep.name}: {error}")
    json.dump({"retired": retired}, sys.stdout)


def retire(keep: Generation, stop_wait: float) -> list[str]:
    """Remove all other generations, and what is left of earlier ones. Returns their names."""
    old = [generation for generation in generations.generations(keep.name) if generation != keep]
    with ThreadPoolExecutor() as pool:
        # Each drains by itself; together they take as long as the slowest.
        list(pool.map(lambda generation: generations.remove(generation, stop_wait), old))
    for socket in keep.sockets.iterdir():
        if socket.is_symlink():
            # Lent to the proxy for as long as it knew the old generation only (rollout).
            socket.unlink()
    for folder in Path(f"/run/{keep.name}").iterdir():
        if re.fullmatch(generations.IDENTITY, folder.name) and folder != keep.sockets:
            shutil.rmtree(folder, ignore_errors=True)
    for file in Path(f"/etc/{keep.name}").glob("*.env"):
        if re.fullmatch(generations.IDENTITY, file.stem) and file != keep.environment:
            file.unlink()
    return [generation.identity for generation in old]


def prune(keep: Generation) -> None:
    """Remove old releases and logs; never what is live or would be rolled back to."""
    base = Path(f"/srv/{keep.name}")
    in_use = {Path(os.path.realpath(base / link)) for link in ("current", "previous")}
    for folder, spared in ((base / "releases", in_use), (keep.logs.parent, {keep.logs})):
        found = sorted(folder.glob("[!.]*"), key=_last_change, reverse=True)
        for path in found[KEEP:]:
            if path not in spared:
                shutil.rmtree(path)


def _last_change(folder: Path) -> float:
    """Return when a folder, or a file right in it, was written last."""
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
