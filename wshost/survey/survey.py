"""Report, in one go, all that a deployment wants to know of a host. Changes nothing.

The request names packages, users, groups, units, sysctl keys, certificates, files whose text to
return, services whose lock to look at, files with rules of the packet filter, and path patterns;
the answer is one JSON object. What is not there is left out, or null.
"""

from __future__ import annotations

import contextlib
import glob
import grp
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from wshost.common import lock, proc, supervisor
from wshost.config import ruleset
from wshost.rollout import launch
from wshost.survey import addresses, certificates, listeners, neighbours

if TYPE_CHECKING:
    from wshost import requests

CAP_SYS_RESOURCE = 24

# Where dpkg notes what a package has put on the host, and so when.
DPKG = "/var/lib/dpkg/info"


def main(request: requests.Survey) -> None:
    """Answer `request` on standard output."""
    json.dump(survey(request), sys.stdout)


def survey(request: requests.Survey) -> requests.SurveyAnswer:
    """Return the state of this host, as far as `request` asks for it."""
    booted()
    asked: list[Callable[[], requests.SurveyAnswer]] = [
        lambda: {"served": served(request["handshake"])} if "handshake" in request else {},
        lambda: {
            "certificates": {path: certificates.read(path) for path in request["certificates"]}
        },
        lambda: {"units": units(request["units"])},
        lambda: {"packages": packages(request["packages"])},
        lambda: {
            "neighbours": neighbours.report(request["locks"][0], request["neighbours"])
            if request["neighbours"]
            else None
        },
        lambda: {"network": addresses.report(request["network"])} if request["network"] else {},
        lambda: reachable(request["firewalls"]) if request["firewalls"] else {},
        lambda: {
            "system": system(),
            "limits": limits(),
            "users": [name for name in request["users"] if _exists(pwd.getpwnam, name)],
            "groups": [name for name in request["groups"] if _exists(grp.getgrnam, name)],
            "sysctl": {key: sysctl(key) for key in request["sysctl"]},
            "paths": paths(request["paths"]),
            "processes": processes(),
            "locks": {name: lock.read(name) for name in request["locks"]},
            "starts": {name: starts(name) for name in request["locks"]},
            "texts": {path: text for path in request["texts"] if (text := read(path)) is not None},
        },
    ]
    found: requests.SurveyAnswer = {}
    for answer in at_once(asked):
        found.update(answer)
    return found


def at_once(
    questions: list[Callable[[], requests.SurveyAnswer]],
) -> list[requests.SurveyAnswer]:
    """Return the answers to questions, each asked in a thread: most wait for a program to end.

    Raises what the first of those that could not be answered raised.
    """
    # A pool of concurrent.futures takes longer to import than most questions take.
    answers: list[requests.SurveyAnswer] = [{} for _ in questions]
    problems: list[BaseException] = []

    def ask(number: int) -> None:
        try:
            answers[number] = questions[number]()
        except BaseException as error:  # a thread would only print it
            problems.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return answers


def read(path: str) -> str | None:
    """Return a file's text without white space around it, or None if it can't be read."""
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def run(*command: str) -> str:
    """Return what a command prints; a command that is missing or fails prints what it prints."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def system() -> requests.System:
    """Return what this machine runs: distribution, architecture, versions."""
    lines = (line.partition("=") for line in (read("/etc/os-release") or "").splitlines())
    release = {name: value.strip("\"'") for name, _, value in lines}
    cloud_init: Literal["absent", "done", "running"] = "absent"
    if os.path.exists("/usr/bin/cloud-init") and not os.path.exists("/run/cloud-init/disabled"):
        cloud_init = "done" if os.path.exists("/run/cloud-init/result.json") else "running"
    return {
        "id": release.get("ID", ""),
        "version": release.get("VERSION_ID", ""),
        "architecture": os.uname().machine,
        "python": "{}.{}".format(*sys.version_info),
        "cloud_init": cloud_init,
        "boot": read("/proc/sys/kernel/random/boot_id"),
    }


def limits() -> requests.HostLimits:
    """Return what this host allows: open files of one process at most, processors, memory."""
    hard = int((read("/proc/1/limits") or "").split("Max open files")[1].split()[1])
    lines = (read("/proc/1/status") or "").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    # A service manager with this capability can give its services more than it has itself.
    if int(status.get("CapEff", "0"), 16) >> CAP_SYS_RESOURCE & 1:
        hard = max(hard, int(read("/proc/sys/fs/nr_open") or hard))
    return {
        "open_files": hard,
        "processors": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def sysctl(key: str) -> str | None:
    """Return a kernel setting, or None if this host has none or does not let root change it."""
    path = f"/proc/sys/{key.replace('.', '/')}"
    return read(path) if os.access(path, os.W_OK) else None


def packages(names: list[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed completely."""
    if not names:
        return {}
    listing = run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\n", *names)
    rows = (line.split() for line in listing.splitlines())
    # ii: installed; hi: installed and on hold.
    return {row[1]: row[2] for row in rows if row[0] in ("ii", "hi") and len(row) == 3}


def units(names: list[str]) -> dict[str, dict[str, str]]:
    """Return the state of systemd units."""
    wanted = "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,MainPID"
    listing = run("systemctl", "show", "--no-pager", f"--property={wanted}", *names)
    found = {}
    for block in listing.split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if unit.get("LoadState") == "loaded":
            name = unit.pop("Id")
            if upgraded(name.removesuffix(".service"), int(unit.get("MainPID", 0))):
                unit["Upgraded"] = "yes"
            found[name] = unit
    return found


def upgraded(package: str, pid: int) -> bool:
    """Tell whether a package was installed again after the process that runs from it was started.

    A program that replaces itself, as proxies do when they reload, keeps its start.
    """
    try:
        installed = os.stat(f"{DPKG}/{package}.list").st_mtime
        return installed > time.time() - proc.age(pid)
    except (OSError, IndexError):
        return False


def paths(patterns: list[str]) -> dict[str, requests.PathState]:
    """Return kind, mode, owner and content hash of every path that a pattern matches."""
    matches = {path for pattern in patterns for path in glob.glob(pattern, recursive=True)}
    found = {}
    for path in sorted(matches | {p for p in patterns if os.path.islink(p)}):
        # What a killed run has left at work may tidy up meanwhile.
        with contextlib.suppress(FileNotFoundError):
            found[path] = entry(path)
    return found


def entry(path: str) -> requests.PathState:
    """Return kind, mode, owner and content hash of a path. Raises FileNotFoundError."""
    info = os.lstat(path)
    found: requests.PathState = {
        "kind": "other",
        "mode": stat.S_IMODE(info.st_mode),
        "owner": _name(pwd.getpwuid, info.st_uid),
        "group": _name(grp.getgrgid, info.st_gid),
    }
    if stat.S_ISLNK(info.st_mode):
        found["kind"], found["target"] = "link", os.readlink(path)
    elif stat.S_ISDIR(info.st_mode):
        found["kind"] = "directory"
    elif stat.S_ISREG(info.st_mode):
        with open(path, "rb") as file:
            found["kind"], found["sha256"] = "file", hashlib.sha256(file.read()).hexdigest()
    return found


def reachable(rules: list[str]) -> requests.SurveyAnswer:
    """Return what the rules of a packet filter have to do with: who listens, and present rules."""
    found = listeners.parse(
        run("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp", "--extended")
    )
    environments = (read(f"/proc/{pid}/environ") for pid in proc.lineage(os.getpid()))
    return {
        "listeners": [listener for listener in found if not listeners.is_ssh(listener)],
        "ssh_ports": listeners.ssh_ports(found, [text or "" for text in environments]),
        # /etc/NAME/firewall.nft
        "firewall_as_loaded": all(ruleset.as_noted(r.split("/")[2]) for r in rules),
        "firewall_ports": sorted({p for r in rules for p in listeners.app_ports(read(r) or "")}),
    }


def served(request: requests.Handshake) -> bool:
    """Tell whether a WebSocket client gets all that it should; why not is not for a survey."""
    # It brings TLS, which no other question needs.
    from wshost.rollout import probe  # noqa: PLC0415

    try:
        probe.handshake(
            probe.target_of(request), request["timeout"], request["send"], request["expect"]
        )
    except (probe.ProbeError, OSError):
        return False
    return True


def booted() -> None:
    """Wait until a host that is still booting has started its services, for a minute at most."""
    with contextlib.suppress(subprocess.TimeoutExpired, FileNotFoundError):
        subprocess.run(
            ("systemctl", "is-system-running", "--wait"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )


def processes() -> list[requests.Supervised] | None:
    """Return Supervisor's processes, or None if it does not answer.

    A process is STARTING for its first second; what becomes of it is worth waiting for.
    """
    deadline = time.monotonic() + 5
    while True:
        try:
            found = supervisor.processes()
        except supervisor.SupervisorError:
            return None
        starting = any(process["statename"] == "STARTING" for process in found)
        if not starting or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return [
        {
            "group": each["group"],
            "name": each["name"],
            "statename": each["statename"],
            "pid": each["pid"],
            "start": each["start"],
        }
        for each in found
    ]


def starts(name: str) -> dict[str, tuple[int, float]]:
    """Return how often each process of the live generation was started, and when last."""
    found: dict[str, tuple[int, float]] = {}
    for path in glob.glob(f"/run/{name}/current/.starts-*"):
        # The app's user may write there.
        if re.fullmatch(rf"{re.escape(name)}_\d\d", process := path.rpartition(launch.STARTS)[2]):
            found[process] = launch.starts(path)
    return found


def _exists(lookup: Any, name: str) -> bool:
    try:
        lookup(name)
    except KeyError:
        return False
    return True


def _name(lookup: Any, number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)
