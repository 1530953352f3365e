"""Report what goes on on this host now. Changes nothing.

Everything is asked at the same time, and what has not answered when the time is over is left out: a
process that hangs, or a disk that does, must not keep the rest from whoever looks.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from wshost.common import lock, proc, sockets, supervisor
from wshost.common.listen import Listen
from wshost.common.text import spelt
from wshost.config import ruleset
from wshost.rollout import clients, generations, history
from wshost.status import ask
from wshost.survey import capacity, certificates, survey

if TYPE_CHECKING:
    from wshost import requests
    from wshost.requests import StatusAnswer, Supervised

RECENTLY = 3600
"""Seconds for which the watchdog's kills and the ends of processes are told."""
WATCHED = 0.4
"""Seconds for which processor time is watched. The kernel counts it in hundredths of a second."""
LINE = 300
"""Characters of a line of a log that are passed on."""
KILLS = 20
LOG_TAIL = 65_536
"""Bytes of Supervisor's log, and of a process's, that are looked through."""
EXITED = re.compile(r"^(\S+ \d\d:\d\d:\d\d),\d+ \w+ exited: (\S+) \((.*?)(?:; not expected)?\)$")


def main(request: requests.Status) -> None:
    """Answer `request` on standard output."""
    json.dump(report(request), sys.stdout)


def report(request: requests.Status) -> StatusAnswer:
    """Return what goes on on this host, as far as it is found out in time."""
    name, patience = request["name"], request["patience"]
    proxy, asked = request["proxy"], request.get("survey")
    questions: dict[str, Callable[[], Any]] = {
        "generations": lambda: app(name, patience * 2 / 3),
        "units": lambda: survey.units(request["units"]),
        "kills": lambda: kills(name),
        "certificates": lambda: {each: certificates.read(each) for each in request["certificates"]},
        "disks": lambda: [disk(each) for each in request["folders"] if os.path.isdir(each)],
        "firewall_as_loaded": lambda: ruleset.as_noted(name),
        "lock": lambda: lock.read(name),
        "last_change": lambda: last_change(Path(f"/var/log/{name}/deploys.log")),
        **({"proxy_clients": lambda: proxy_clients(proxy)} if proxy else {}),
        **({"survey": lambda: survey.survey(asked)} if asked else {}),
    }
    if "handshake" in request:
        questions["served"] = lambda: survey.served(request["handshake"])
    return cast("StatusAnswer", {**machine(name), **in_time(questions, patience)})


def in_time(questions: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Any]:
    """Return the answers to questions that are all asked at once; of others, nothing.

    One that fails is left out as one that takes too long.
    """
    answers: dict[str, Any] = {}

    def put(key: str) -> None:
        # Whatever is wrong on the host, the rest is still worth knowing.
        with contextlib.suppress(Exception):
            answers[key] = questions[key]()

    threads = [threading.Thread(target=put, args=(key,), daemon=True) for key in questions]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return dict(answers)


def machine(name: str) -> StatusAnswer:
    """Return what the kernel tells at once."""
    limits = survey.limits()
    used, most = capacity.memory(limits["memory"])
    return {
        "time": time.time(),
        "booted": time.clock_gettime(time.CLOCK_BOOTTIME),
        "live": generations.live(name),
        "available": most - used,
        "memory": most,
        "load": os.getloadavg()[0],
        "processors": limits["processors"],
    }


def app(name: str, patience: float) -> list[requests.GenerationStatus] | None:
    """Return the generations of a service with their processes; None without Supervisor."""
    began = time.monotonic()
    try:
        every = supervisor.processes(timeout=patience)
    except supervisor.SupervisorError:
        return None
    groups = {each["group"] for each in every}
    known = [it for it in generations.generations(name) if it.group in groups]
    ours = [each for each in every if each["group"] in {it.group for it in known}]
    leaders = {each["pid"] for each in ours if each["pid"]}
    families = sockets.families(leaders)
    before, watched = {pid: capacity.ticks(it) for pid, it in families.items()}, time.monotonic()
    connections = _connections(name, known, families)
    records = {each.id: each for each in history.records(name)}
    ends = last_ends(patience)
    left = patience - (time.monotonic() - began)
    questions = {it.group: partial(_asked, it, every, left) for it in known}
    replies: dict[str, Mapping[str, ask.Answer]] = in_time(questions, left + 0.2)
    time.sleep(max(0, watched + WATCHED - time.monotonic()))
    took = (time.monotonic() - watched) * os.sysconf("SC_CLK_TCK")
    found: list[requests.GenerationStatus] = []
    for it in known:
        described, record = it.described(), records.get(it.id)
        watch = described["watch"] if described else None
        processes: list[requests.ProcessStatus] = []
        for each in [process for process in ours if process["group"] == it.group]:
            pid, answer = each["pid"], replies.get(it.group, {}).get(each["name"])
            family = families.get(pid, set())
            end, ended, count = ends.get(each["name"], ("", 0.0, 0))
            running = each["statename"] in ("RUNNING", "STARTING", "STOPPING")
            processes.append(
                {
                    "name": each["name"],
                    "pid": pid,
                    "statename": each["statename"],
                    "seconds": _seconds(each),
                    "starts": it.starts(each["name"]),
                    "reply": answer.reply if answer else None,
                    "numbers": answer.numbers if answer else None,
                    "connections": connections.get(pid, 0),
                    "cores": max(0.0, (capacity.ticks(family) - before.get(pid, 0)) / took),
                    "memory": sum(map(capacity.own_memory, family)),
                    "end": end,
                    "ended": ended,
                    "ends": count,
                    "said": "" if running else last_line(it.logs / f"{each['name']}.log"),
                }
            )
        found.append(
            {
                "id": it.id,
                "live": it.id == generations.live(name),
                "release": described["release"] if described else None,
                "commit": record.request.get("commit") if record else None,
                "since": record.since if record else None,
                "by": record.request["by"] if record else None,
                "hang_timeout": watch["hang_timeout"] if watch else None,
                "start_timeout": watch["start_timeout"] if watch else None,
                "expected": described["processes"] if described else len(processes),
                "processes": processes,
            }
        )
    return found


def _connections(
    name: str, known: list[generations.Generation], families: Mapping[int, set[int]]
) -> dict[int, int]:
    """Return how many connections processes have that are not the watchdog's, by their leaders.

    A process that drains does not listen any more: it had the ports that it was given.
    """
    closed = set()
    for it in known:
        if described := it.described():
            places = Listen.read(described["listen"]).ports(described["processes"])
            closed |= {port for _, port in places}
    held = sockets.connections(families, closed)
    theirs = sockets.reached_by(clients.watchdog(name), set().union(*held.values()))
    return {pid: len(inodes - theirs) for pid, inodes in held.items()}


def _asked(
    it: generations.Generation, every: list[Supervised], patience: float
) -> Mapping[str, ask.Answer]:
    described = it.described()
    names = [p["name"] for p in every if p["group"] == it.group and p["statename"] == "RUNNING"]
    if described is None or not names:
        return {}
    watch = described["watch"]
    listen, host = Listen.read(described["listen"]), watch["host"] if watch else "localhost"
    return ask.processes(listen, names, it.group, host, patience)


def _seconds(process: Supervised) -> float:
    """Return for how long a process has been there, whatever was done to the clock since."""
    with contextlib.suppress(OSError, IndexError):
        if process["pid"]:
            return proc.age(process["pid"])
    return max(0.0, time.time() - process["start"]) if process["start"] else 0.0


def last_ends(patience: float) -> dict[str, tuple[str, float, int]]:
    """Return how, when and how often processes have ended lately, by Supervisor's log."""
    with contextlib.suppress(supervisor.SupervisorError):
        log = str(supervisor.call("readLog", -LOG_TAIL, 0, timeout=patience))
        return ends(log, time.time())
    return {}


def ends(log: str, now: float) -> dict[str, tuple[str, float, int]]:
    """Return how processes have ended last by lines of Supervisor's log, when, and how often.

    The lines have local time.
    """
    found: dict[str, tuple[str, float, int]] = {}
    for line in log.splitlines():
        if match := EXITED.match(line):
            with contextlib.suppress(ValueError, OverflowError):
                at = time.mktime(time.strptime(match[1], "%Y-%m-%d %H:%M:%S"))
                if at > now - RECENTLY:
                    before = found[match[2]][2] if match[2] in found else 0
                    found[match[2]] = (match[3], at, before + 1)
    return found


def last_line(log: Path) -> str:
    """Return the last line of a log that says anything."""
    with contextlib.suppress(OSError), open(log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL))
        lines = [it.strip() for it in file.read().decode(errors="replace").splitlines()]
        return spelt(next((each for each in reversed(lines) if each), ""), LINE)
    return ""


def kills(name: str) -> list[str]:
    """Return what the watchdog has said of processes that it has killed lately."""
    journal = ("journalctl", f"--unit={name}-watchdog", f"--since=-{RECENTLY}s", "--output=cat")
    said = survey.run(*journal, "--no-pager", "--quiet", "--lines=1000").splitlines()
    return [spelt(line, LINE) for line in said if line.endswith(": killed")][-KILLS:]


def proxy_clients(unit: str) -> int:
    """Return how many connections a proxy has from clients, over all of its processes.

    Its old processes, too, that only hold connections since it was told to read its files again.
    """
    leaders = capacity.main_process(unit)
    members = set().union(*sockets.families(leaders).values()) if leaders else set()
    return sockets.held(members, capacity.HTTPS)


def disk(folder: str) -> requests.Disk:
    """Return how full the file system of a folder is, for others than root."""
    found = os.statvfs(folder)
    return {
        "folder": folder,
        "free": found.f_bavail * found.f_frsize,
        "size": found.f_blocks * found.f_frsize,
        "files_free": found.f_favail,
        "files": found.f_files,
    }


def last_change(log: Path) -> requests.Change | None:
    """Return the last line of the log of changes; None if there is none."""
    with contextlib.suppress(OSError, ValueError, RecursionError, TypeError, KeyError, IndexError):
        found = json.loads(log.read_text(errors="replace").splitlines()[-1])
        keys = ("time", "by", "action", "release", "outcome")
        return cast("requests.Change", {key: spelt(str(found[key]), LINE) for key in keys})
    return None
