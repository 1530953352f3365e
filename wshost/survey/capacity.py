"""Report what this host has, and what the service takes of it now. Changes nothing.

The request names the service, the systemd units of its `proxy` and of its `internal` TLS listener,
if the host has those, and for how many seconds to watch the processors' time. The answer is one
JSON object.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING

from wshost.common import proc, sockets, supervisor
from wshost.rollout import generations
from wshost.survey import survey

if TYPE_CHECKING:
    from wshost import requests

HTTPS = 443
CGROUP = "/sys/fs/cgroup"


def main(request: requests.Capacity) -> None:
    """Answer `request` on standard output."""
    json.dump(report(**request), sys.stdout)


def report(name: str, units: dict[str, str], seconds: float) -> requests.CapacityAnswer:
    """Return what this host has, and what the service uses; null for a part that does not run."""
    leaders = {"app": app(name)} | {kind: main_process(unit) for kind, unit in units.items()}
    families = {
        kind: set[int]().union(*sockets.families(it).values()) for kind, it in leaders.items()
    }
    before, began = {kind: ticks(pids) for kind, pids in families.items()}, time.monotonic()
    time.sleep(seconds)
    took = (time.monotonic() - began) * os.sysconf("SC_CLK_TCK")
    cores = {kind: (ticks(pids) - before[kind]) / took for kind, pids in families.items()}
    limits = survey.limits()
    used, most = memory(limits["memory"])
    files = (survey.read("/proc/sys/fs/file-nr") or "0 0 0").split()
    return {
        "limits": {**limits, "memory": most},
        "available": most - used,
        "files": [int(files[0]), int(files[2])],
        "ports": source_ports(),
        "tracked": tracked(),
        "uses": {
            kind: {
                "processes": len(leaders[kind]),
                "clients": sockets.held(pids, HTTPS if kind == "proxy" else None),
                "memory": sum(map(own_memory, pids)),
                # Less than nothing, if a process has ended meanwhile.
                "cores": max(0, cores[kind]),
                # nginx's master may open few; those who work may open the most.
                "files": max(map(open_files, pids)),
            }
            if pids
            else None
            for kind, pids in families.items()
        },
    }


def app(name: str) -> set[int]:
    """Return the processes of a service that Supervisor runs, also of generations that leave."""
    found: set[int] = set()
    with contextlib.suppress(supervisor.SupervisorError):
        for generation in generations.generations(name):
            found |= {each["pid"] for each in generation.processes() if each["pid"]}
    return found


def main_process(unit: str) -> set[int]:
    """Return the process that a unit has started, if it runs."""
    pid = int(survey.run("systemctl", "show", "--property=MainPID", "--value", unit) or 0)
    return {pid} if pid else set()


def ticks(pids: set[int]) -> int:
    """Return the processor time that processes have had, in ticks; those that are gone, none."""
    found = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = proc.fields(pid)
            found += int(fields[11]) + int(fields[12])
    return found


def own_memory(pid: int) -> int:
    """Return a process's memory in bytes, of what it shares with others its share."""
    for line in (survey.read(f"/proc/{pid}/smaps_rollup") or "").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def open_files(pid: int) -> int:
    """Return how many files a process may have open; 0 if it is gone."""
    for line in (survey.read(f"/proc/{pid}/limits") or "").splitlines():
        if line.startswith("Max open files"):
            return int(line.split()[3])
    return 0


def memory(physical: int) -> tuple[int, int]:
    """Return the bytes of memory that are used, and that there are, for this host.

    A container may have less than the machine.
    """
    lines = (survey.read("/proc/meminfo") or "").splitlines()
    available = next(int(it.split()[1]) * 1024 for it in lines if it.startswith("MemAvailable:"))
    most = survey.read(f"{CGROUP}/memory.max") or "max"
    if most == "max" or int(most) > physical:
        return physical - available, physical
    files = survey.read(f"{CGROUP}/memory.stat") or ""
    cache = next((int(it.split()[1]) for it in files.splitlines() if it.startswith("file ")), 0)
    used = int(survey.read(f"{CGROUP}/memory.current") or 0) - cache
    return max(used, int(most) - available), int(most)


def source_ports() -> int:
    """Return how many ports outgoing connections may have, to one address and port."""
    first, last = map(
        int, (survey.read("/proc/sys/net/ipv4/ip_local_port_range") or "0 -1").split()
    )
    reserved: set[int] = set()
    for part in (survey.read("/proc/sys/net/ipv4/ip_local_reserved_ports") or "").split(","):
        low, _, high = part.partition("-")
        if low:
            reserved |= set(range(int(low), int(high or low) + 1))
    return last - first + 1 - len(reserved & set(range(first, last + 1)))


def tracked() -> list[int] | None:
    """Return the connections that the packet filter tracks, and the most; None without any."""
    folder = "/proc/sys/net/netfilter"
    found = [survey.read(f"{folder}/nf_conntrack_{key}") for key in ("count", "max")]
    return [int(each) for each in found if each] if all(found) else None
