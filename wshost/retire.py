"""Let every generation but the one that serves drain and go, and remove old releases and logs."""

from __future__ import annotations

import json
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wshost import apply_files, generations, history, supervisor
from wshost.generations import Generation


def main(request: dict[str, Any]) -> None:
    """Retire what the `generation` in `request` has replaced; `stop_wait` is in seconds."""
    keep = Generation(request["name"], request["generation"])
    try:
        with apply_files.exclusive(apply_files.STATE):
            # What is retired may have been deployed with a longer drain than the new one.
            stop_wait = history.stop_wait(keep.name, request["stop_wait"])
            retired = retire(keep, stop_wait)
            history.prune(keep.name)
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
