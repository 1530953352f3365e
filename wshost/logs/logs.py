"""Send lines of all logs of a service on this host, by their time. Changes nothing.

Those of the app's processes in all generations, of the proxy, and of whoever starts, stops and
kills processes. What is not asked for is not sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from wshost.logs import times
from wshost.rollout.description import GENERATION_ID
from wshost.survey import survey

if TYPE_CHECKING:
    from wshost import requests
    from wshost.requests import LogLine

LOG = Path("/var/log")
LINE = 2000
"""Characters of a line that are sent."""
EVENTS = ("supervisor", "watchdog", "kernel", "deploys")
"""Sources that tell what has happened to processes."""
OUT_OF_MEMORY = "Out of memory|oom-kill|Killed process"


def main(request: requests.Logs) -> None:
    """Answer `request` on standard output."""
    json.dump(report(request), sys.stdout)


def report(request: requests.Logs) -> requests.LogsAnswer:
    """Return the newest lines that are asked for."""
    kept = sorted(
        (line for line in lines(request) if wanted(line, request)), key=lambda line: line["time"]
    )
    left_out = max(0, len(kept) - request["most"])
    return {"lines": kept[left_out:], "left_out": left_out, "time": time.time()}


def wanted(line: LogLine, request: requests.Logs) -> bool:
    """Tell whether a line is asked for."""
    process, source, text = request["process"], line["source"], line["text"]
    if process and source.partition("@")[0] != process and process not in text:
        return False
    if request["grep"] and not re.search(request["grep"], text):
        return False
    if not request["words"] or source in EVENTS:
        return True
    # 10.0.0.1 is not in 10.0.0.12.
    words = "|".join(map(re.escape, request["words"]))
    return re.search(rf"(?<![\w.:-])(?:{words})(?![\w.:-])", text) is not None


def lines(request: requests.Logs) -> Iterator[LogLine]:
    """Yield all lines of a time, of one log after the other."""
    name, since, until = request["name"], request["since"], request["until"]
    for log in (LOG / name).glob(f"*/{name}_[0-9][0-9].log*"):
        if re.fullmatch(GENERATION_ID, log.parent.name):
            source = f"{log.name.partition('.')[0]}@{log.parent.name}"
            yield from of_file(log, source, since, until)
    for log in (LOG / "supervisor").glob("supervisord.log*"):
        for line in of_file(log, "supervisor", since, until):
            if re.search(rf"\b{re.escape(name)}(_\d\d|-[0-9a-f]{{12}})", line["text"]):
                yield line
    yield from of_file(LOG / name / "deploys.log", "deploys", since, until)
    for unit, source in ((f"{name}-watchdog", "watchdog"), (f"{name}-certificate", "certificate")):
        yield from of_journal(source, since, until, f"--unit={unit}")
    yield from of_journal("kernel", since, until, "--dmesg", f"--grep={OUT_OF_MEMORY}")
    if request["proxy"]:
        for pattern in (f"{name}.log*", "error.log*"):
            for log in (LOG / "nginx").glob(pattern):
                yield from of_file(log, "proxy", since, until)
        yield from of_journal("proxy", since, until, f"--unit={request['proxy']}")


def of_file(log: Path, source: str, since: float, until: float) -> Iterator[LogLine]:
    """Yield the lines of a file; what has no time of its own belongs to the line before it."""
    with contextlib.suppress(OSError):
        if log.suffix == ".gz" or log.stat().st_mtime < since - 1:
            return
        # Who can write there, such as the app's user, might put a link or a pipe in its place.
        descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            file.seek(times.begin(descriptor, since))
            moment = 0.0
            for raw in _short(file):
                found = times.read(raw)
                moment = moment if found is None else found
                if moment > until:
                    return
                if moment >= since and (text := raw.decode(errors="replace").rstrip()):
                    yield {"time": moment, "source": source, "text": text[:LINE]}


def _short(file: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file, as far as they may be long."""
    for raw in file:
        yield raw[: 4 * LINE]


def of_journal(source: str, since: float, until: float, *which: str) -> Iterator[LogLine]:
    """Yield messages of the journal."""
    said = survey.run(
        "journalctl", f"--since=@{since:.0f}", f"--until=@{until + 1:.0f}", "--output=json",
        "--output-fields=MESSAGE", "--no-pager", "--quiet", *which,
    )  # fmt: skip
    for row in said.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            found = json.loads(row)
            message = found["MESSAGE"]
            # What is no text is sent as a list of bytes.
            text = message if isinstance(message, str) else bytes(message).decode(errors="replace")
            moment = int(found["__REALTIME_TIMESTAMP"]) / 1e6
            if since <= moment <= until:
                yield {"time": moment, "source": source, "text": text[:LINE]}
