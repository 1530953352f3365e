"""Generations of versions of wsdeploy that had no descriptions: read from what those have written.

They serve until the next deployment, and can be rolled back to as long as there is a record.
"""

from __future__ import annotations

import base64
import configparser
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    from wshost.requests import Description, Rollout


SAME = (
    "name", "by", "generation", "release", "version", "reuse_port", "start_timeout", "healthy_for",
    "stop_wait", "back_after", "probe",
)  # fmt: skip
"""What a request has always said."""


def description(conf: Path, group: str) -> Description | None:
    """Return what Supervisor's file says of a generation, or None if that can't be read."""
    try:
        return _description(conf.read_text(), group)
    except (OSError, KeyError, ValueError, IndexError, configparser.Error):
        return None


def request(found: dict[str, Any]) -> Rollout:
    """Return a request as it is made today. Raises KeyError, ValueError or IndexError."""
    text = {each["path"]: base64.b64decode(each["content"]).decode() for each in found["files"]}
    (environment,) = (path for path in text if path.endswith(".env"))
    (program,) = (path for path in text if path.endswith(".conf"))
    mark = re.compile(re.escape(found["generation"]) + r"(?![0-9-])")
    group = f"{found['name']}-{found['generation']}"
    try:
        described = _description(text[program], group)
    except configparser.Error as error:
        raise ValueError(str(error)) from error
    keys: tuple[Literal["environment", "listen"], ...] = ("environment", "listen")
    for key in keys:
        described[key] = mark.sub("@GENERATION@", described[key])
    marked = mark.sub("@GENERATION@", text[program])
    marked = marked.replace(f" {described['listen']} ", " @LISTEN@ ", 1)
    same = {key: found[key] for key in SAME}
    made: dict[str, Any] = {
        **same,
        "description": described,
        "program": re.sub("^autostart=true$", "autostart=@AUTOSTART@", marked, flags=re.MULTILINE),
        "environment": text[environment],
        "boot": mark.sub("@GENERATION@", base64.b64decode(found["boot"]["content"]).decode()),
    }
    return cast("Rollout", made)


def _description(text: str, group: str) -> Description:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    section = parser[f"program:{group}"]
    # python3 -I /srv/NAME/releases/ID/launch.py ENVIRONMENT OPEN_FILES LISTEN COMMAND ...
    _, _, launcher, environment, open_files, listen = shlex.split(section["command"])[:6]
    made: Description = {
        "release": launcher.split("/")[-2],
        "environment": environment,
        "listen": listen,
        "processes": int(section["numprocs"]),
        "open_files": int(open_files),
        "watch": None,
    }
    if parser.has_section(f"watchdog:{group}"):
        watch = parser[f"watchdog:{group}"]
        made["watch"] = {
            "host": watch["host"],
            "path": watch["path"],
            "hang_timeout": float(watch["hang_timeout"]),
            "start_timeout": float(watch["start_timeout"]),
            "stop_wait": float(watch["stop_wait"]),
        }
    return made
