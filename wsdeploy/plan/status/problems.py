"""What is wrong in a fleet, the worst first, each with the way out. Pure."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from wsdeploy.plan.host import paths
from wsdeploy.plan.proxy import acme, proxies
from wsdeploy.plan.status import hosts
from wsdeploy.plan.status.hosts import HostStatus
from wsdeploy.settings import Settings
from wshost.requests import Disk, GenerationStatus, ProcessStatus, StatusAnswer

RECENTLY = 600
"""Seconds for which the end of a process is a problem, though another one is in its place."""
MANY = 3
"""Ends in an hour after which a process that has just started is one that does not stay."""
SETTLED = 60
"""Seconds after which a process has stayed."""
DAYS, DAYS_LAST = 10, 3
"""Of a certificate that is left: renewals that work begin a month before."""
LATE = 1.0
"""Seconds by which an event loop is late when clients notice."""
FULL, FULL_LAST = 0.10, 0.02
"""What is free of a disk, in parts."""
BROKEN = 10
"""Connections that break in a minute, and in a hundred, before it is a problem."""
NEARLY = 0.9
HELD = 3600
"""Seconds for which a run has the lock before somebody should look."""
NAMED = 4
"""Differences that are named."""


class Level(IntEnum):
    """How bad it is, as an exit code says it."""

    WELL = 0
    DEGRADED = 1
    DOWN = 2


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, in a line."""

    level: Level
    host: str
    """Nothing for the whole fleet."""
    text: str
    way_out: str
    """What to type or to read next."""


def find(settings: Settings, fleet: Sequence[HostStatus]) -> list[Problem]:
    """Return what is wrong in a fleet, the worst first."""
    found = [*_together(settings, fleet)]
    for host in fleet:
        found += _of_host(settings, host)
    return sorted(found, key=lambda each: -each.level)


def level(found: Sequence[Problem]) -> Level:
    """Return how bad all of it is."""
    return max((each.level for each in found), default=Level.WELL)


def _together(settings: Settings, fleet: Sequence[HostStatus]) -> Iterator[Problem]:
    reached = [host for host in fleet if host.answer is not None]
    if not reached:
        yield Problem(Level.DOWN, "", "no host can be reached", "is it this machine's network?")
        return
    apps = [host for host in fleet if "app" in host.roles]
    lives = [host.live for host in apps if host.live]
    if apps and not any(hosts.serves(p) for live in lives for p in live["processes"]):
        known = all(host.answer for host in apps)
        yield Problem(
            Level.DOWN if known else Level.DEGRADED,
            "",
            "no process of the app serves" + ("" if known else " on any host that was reached"),
            "wsdeploy.logs since=15m; to go back: wsdeploy.rollback",
        )
    served = [
        host.answer["served"]
        for host in reached
        if "proxy" in host.roles and host.answer and "served" in host.answer
    ]
    if served and not any(served):
        yield Problem(
            Level.DOWN,
            "",
            "no proxy serves a client that comes from its own host",
            "pytest tests/hosts --inventory INVENTORY says where it fails",
        )
    releases = {live["release"] for live in lives if live["release"]}
    if len(releases) > 1:
        yield Problem(
            Level.DEGRADED,
            "",
            f"hosts serve {len(releases)} different releases",
            "a deployment is under way, or has stopped half-way: deploy.py again",
        )


def _of_host(settings: Settings, host: HostStatus) -> Iterator[Problem]:
    answer = host.answer
    if answer is None:
        way = f"ssh {host.name}; to look without it: --exclude {host.name}"
        yield Problem(Level.DEGRADED, host.name, f"can't be reached: {host.reason}", way)
        return
    if "app" in host.roles:
        yield from _of_app(host, answer)
    yield from _of_units(settings, host, answer)
    yield from _of_certificate(settings, host, answer)
    yield from _of_machine(host, answer)
    name = settings.name
    if hosts.has_firewall(settings) and answer.get("firewall_as_loaded") is False:
        yield Problem(
            Level.DEGRADED,
            host.name,
            "the packet filter does not have the rules that were deployed: "
            "somebody has changed or flushed them",
            f"nft list table inet {name}; deploy.py puts them back",
        )
    if "proxy" in host.roles and answer.get("served") is False:
        yield Problem(
            Level.DEGRADED,
            host.name,
            "its proxy does not serve a client",
            f"ssh {host.name} systemctl status {proxies.chosen(settings).UNIT}",
        )
    if host.differences:
        more = len(host.differences) - NAMED
        named = ", ".join(host.differences[:NAMED]) + (f" and {more} more" if more > 0 else "")
        way = f"--dry --diff deploy.py --limit {host.name} shows how"
        yield Problem(Level.DEGRADED, host.name, f"not as planned: {named}", way)
    lock = answer.get("lock")
    if lock and lock["until"] is None and answer["time"] - lock["since"] > HELD:
        hours = (answer["time"] - lock["since"]) / 3600
        text = f"{lock['owner']} has had the lock for {hours:.0f} h: {lock['step']}"
        yield Problem(Level.DEGRADED, host.name, text, "if that run is gone: wsdeploy.unlock")


def _of_app(host: HostStatus, answer: StatusAnswer) -> Iterator[Problem]:
    if answer.get("generations") is None:
        text = "Supervisor does not answer"
        way = f"ssh {host.name} systemctl status supervisor"
        yield Problem(Level.DEGRADED, host.name, text, way)
        return
    live = host.live
    if live is None:
        text = "nothing serves here"
        yield Problem(Level.DEGRADED, host.name, text, "deploy.py brings a release")
        return
    for process in live["processes"]:
        if found := _of_process(host, live, process, answer["time"]):
            yield found
    missing = live["expected"] - len(live["processes"])
    if missing > 0:
        text = f"Supervisor lacks {missing} of {live['expected']} processes"
        yield Problem(Level.DEGRADED, host.name, text, "deploy.py adds them")
    if kills := answer.get("kills"):
        text = f"the watchdog has killed {len(kills)} in the last hour: {kills[-1]}"
        way = "they hung: docs/operate/liveness.md"
        yield Problem(Level.DEGRADED, host.name, text, way)
    lock = answer.get("lock")
    if lock is None or lock["until"] is not None:
        for old in host.generations:
            stays = not old["live"] and any(p["reply"] == "answered" for p in old["processes"])
            if stays:
                text = f"generation {old['id']} is left from a run that has ended"
                yield Problem(Level.DEGRADED, host.name, text, "deploy.py lets it drain and go")


def _of_process(
    host: HostStatus, live: GenerationStatus, process: ProcessStatus, now: float
) -> Problem | None:
    """Return the worst that is to be said of a process that should serve."""
    logs = f"wsdeploy.logs host={host.name} process={process['name']} since=15m"
    text, way = _ended(process, now)
    if text:
        return Problem(Level.DEGRADED, host.name, text, f"{logs}{way}")
    if process["reply"] == "silent":
        watched = live["hang_timeout"]
        text = f"{process['name']} hangs: it does not answer"
        if watched is not None:
            text += f"; the watchdog kills it after {watched:g} s of that"
            return Problem(Level.DEGRADED, host.name, text, logs)
        way = f"ssh {host.name} kill -9 {process['pid']}; Supervisor starts another"
        return Problem(Level.DEGRADED, host.name, text, way)
    if process["reply"] == "absent" and process["seconds"] > (live["start_timeout"] or SETTLED):
        text = (
            f"{process['name']} listens nowhere, {ago(process['seconds'])} after its start: it "
            "drains, or has failed without ending"
        )
        return Problem(Level.DEGRADED, host.name, text, logs)
    return _of_numbers(host, process)


def _ended(process: ProcessStatus, now: float) -> tuple[str, str]:
    """Return what is to be said of a process that has ended, or does again and again.

    With what to do besides looking at its logs.
    """
    name, state = process["name"], process["statename"]
    end = f"; it ended last with: {process['end']}" if process["end"] else ""
    young = process["seconds"] < SETTLED
    if state == "BACKOFF" or (young and process["ends"] >= MANY):
        said = f"; it said: {process['said']}" if process["said"] else ""
        text = f"{name} ends again and again, {process['ends']} times in the last hour{end}{said}"
        return text, "; to go back: wsdeploy.rollback"
    if state not in ("RUNNING", "STARTING"):
        return f"{name} is {state}{end}", ""
    since = now - process["ended"]
    # What has ended may have been a process of this name in an earlier generation.
    if process["starts"] > 1 and process["end"] and since < RECENTLY:
        text = f"{name} ended {ago(since)} ago ({process['end']}) and was started again; "
        return f"{text}its clients were cut off (1006)", ""
    return "", ""


def _of_numbers(host: HostStatus, process: ProcessStatus) -> Problem | None:
    told, name = process["numbers"], process["name"]
    if told is None:
        return None
    if told["lag"] is not None and told["lag"] >= LATE:
        text = f"{name}'s event loop was late by {told['lag']:.1f} s in the last minute"
        way = "what blocks it? docs/operate/liveness.md"
        return Problem(Level.DEGRADED, host.name, text, way)
    if told["most"] and told["connections"] >= NEARLY * told["most"]:
        text = f"{name} has {told['connections']:,} of at most {told['most']:,} clients"
        return Problem(Level.DEGRADED, host.name, text, "wsdeploy.capacity says what to change")
    closes = told["closes"] or {}
    broken = closes.get("1006", 0) + closes.get("1011", 0)
    if broken >= max(BROKEN, (told["connections"] + broken) * BROKEN / 100):
        text = f"{broken:,} connections of {name} broke in the last minute (1006, 1011)"
        way = f"wsdeploy.logs host={host.name} process={name} since=2m grep=code=10"
        return Problem(Level.DEGRADED, host.name, text, way)
    return None


def _of_units(settings: Settings, host: HostStatus, answer: StatusAnswer) -> Iterator[Problem]:
    units = answer.get("units")
    if units is None:
        return
    for unit in hosts.units(settings, host.name):
        state = units.get(unit, {}).get("ActiveState", "absent")
        way = f"ssh {host.name} systemctl status {unit}"
        if unit == acme.service(settings):
            if state == "failed":
                text = "the last renewal of the certificate has failed"
                way = f"ssh {host.name} journalctl -u {unit}; docs/guides/certificates.md"
                yield Problem(Level.DEGRADED, host.name, text, way)
        # What is about to change is not wrong yet.
        elif state not in ("active", "activating", "reloading"):
            yield Problem(Level.DEGRADED, host.name, f"{unit} is {state}", way)


def _of_certificate(
    settings: Settings, host: HostStatus, answer: StatusAnswer
) -> Iterator[Problem]:
    left = days(settings, answer)
    if left is None:
        if "certificates" in answer and "proxy" in host.roles:
            text = "there is no certificate"
            yield Problem(Level.DEGRADED, host.name, text, "deploy.py brings one")
        return
    if left < DAYS:
        serious = Level.DOWN if left < 0 else Level.DEGRADED
        text = (
            "the certificate has expired"
            if left < 0
            else f"the certificate ends in {left:.0f} days"
        )
        way = (
            f"ssh {host.name} systemctl start {acme.service(settings)}; "
            f"journalctl -u {acme.service(settings)} says why it was not renewed"
            if hosts.has_renewal(settings, host.name)
            else "put the new one in its place, and deploy.py"
        )
        yield Problem(serious, host.name, text, way)


def days(settings: Settings, answer: StatusAnswer) -> float | None:
    """Return for how many days a proxy's certificate is good, by its host's clock; None without."""
    found = answer.get("certificates", {}).get(paths.certificate(settings.name))
    if found is None:
        return None
    try:
        end = datetime.datetime.fromisoformat(found["not_after"].replace("Z", "+00:00"))
    except ValueError:
        return None
    return (end.timestamp() - answer["time"]) / 86_400


def _of_machine(host: HostStatus, answer: StatusAnswer) -> Iterator[Problem]:
    for disk in disks(answer):
        free = free_part(disk)
        if free < FULL:
            what = "nothing" if free <= 0 else f"{free:.0%}"
            text = f"the disk of {disk['folder']} is full: {what} is free"
            way = (
                f"ssh {host.name} du -xh -d 3 {disk['folder']} | sort -h; docs/operate/bad-days.md"
            )
            yield Problem(Level.DEGRADED, host.name, text, way)
    if answer["memory"] and answer["available"] < 0.05 * answer["memory"]:
        free = answer["available"] / answer["memory"]
        text = f"{free:.0%} of its memory is free"
        yield Problem(Level.DEGRADED, host.name, text, "wsdeploy.capacity says what takes it")


def disks(answer: StatusAnswer) -> list[Disk]:
    """Return the file systems of a host, each once."""
    found = {(it["size"], it["free"], it["files"]): it for it in reversed(answer.get("disks", []))}
    return [*reversed(found.values())]


def free_part(disk: Disk) -> float:
    """Return which part of a file system is free: of its bytes, or of its files if that is less."""
    size = disk["free"] / disk["size"] if disk["size"] else 1.0
    return min(size, disk["files_free"] / disk["files"] if disk["files"] else 1.0)


def ago(seconds: float) -> str:
    """Return a time that has passed, as short as it is told."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def clock(seconds: float) -> str:
    """Return a moment in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
