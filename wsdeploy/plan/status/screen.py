"""The screen of a fleet, and the same for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wsdeploy.plan import summary
from wsdeploy.plan.status import hosts, problems
from wsdeploy.plan.status.hosts import HostStatus
from wsdeploy.plan.status.problems import Level, Problem, ago, clock
from wsdeploy.settings import Settings
from wshost.requests import GenerationStatus, ProcessStatus

WORDS = {Level.WELL: "serves", Level.DEGRADED: "degraded", Level.DOWN: "down"}
COLOURS = {Level.WELL: "32", Level.DEGRADED: "33", Level.DOWN: "31"}
TEXT_MOST = 400
"""Characters of a problem."""
NUMBERS = ("CLIENTS", "CPU", "MEMORY", "UP", "LAG", "DISK", "LOAD", "CERTIFICATE")
"""Columns whose cells end at the same place."""


@dataclass(frozen=True)
class Report:
    """All that is to be said of a fleet."""

    settings: Settings
    fleet: Sequence[HostStatus]
    found: Sequence[Problem]
    time: float
    """Of this machine, in seconds since 1970."""

    @classmethod
    def of(cls, settings: Settings, fleet: Sequence[HostStatus], now: float) -> Report:
        """Return the report on a fleet."""
        return cls(settings, fleet, problems.find(settings, fleet), now)

    @property
    def level(self) -> Level:
        """How bad it is; also the exit code."""
        return problems.level(self.found)


def address(settings: Settings) -> str:
    """Return where clients connect to; a query may hold a token."""
    return f"wss://{settings.domain}{settings.app.probe.path.partition('?')[0]}"


def to_json(report: Report) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "state": WORDS[report.level],
        "code": int(report.level),
        "address": address(report.settings),
        "time": report.time,
        "clients": sum(host.clients for host in report.fleet),
        "problems": [asdict(each) | {"level": WORDS[each.level]} for each in report.found],
        "hosts": {
            host.name: {
                "roles": host.roles,
                "reached": host.answer is not None,
                "reason": host.reason,
                "differences": host.differences,
                "certificate_days": problems.days(report.settings, host.answer)
                if host.answer
                else None,
                **{key: it for key, it in (host.answer or {}).items() if key not in ("survey",)},
            }
            for host in report.fleet
        },
    }


def lines(report: Report, *, colour: bool = False) -> Iterator[str]:
    """Yield the lines of the screen. colour: for a terminal."""
    head = f"{address(report.settings)}  {_paint(_verdict(report), report.level, colour)}"
    clients = sum(host.clients for host in report.fleet)
    yield f"{head}  {clients:,} clients  {clock(report.time)}"
    for owner, step in dict.fromkeys(_at_work(report)):
        yield summary.readable(f"at work: {owner}: {step}")
    if report.found:
        yield ""
    for each in report.found:
        where = f"{each.host}: " if each.host else ""
        text = summary.readable(f"{where}{each.text}")
        text = text if len(text) <= TEXT_MOST else f"{text[: TEXT_MOST - 1]}…"
        yield _paint(f"{'!!' if each.level is Level.DOWN else '!'} {text}", each.level, colour)
        yield f"     {summary.readable(each.way_out)}"
    if processes := [*_process_rows(report)]:
        yield ""
        yield from table(PROCESSES, processes)
    yield ""
    yield from table(HOSTS, [*_host_rows(report)])


PROCESSES = (
    "HOST", "GENERATION", "RELEASE", "PROCESS", "STATE", "CLIENTS", "OPENED", "CLOSED", "CPU",
    "MEMORY", "UP", "LAG",
)  # fmt: skip
HOSTS = (
    "HOST", "ROLE", "PROXY", "CERTIFICATE", "RENEWAL", "WATCHDOG", "FIREWALL", "DISK", "MEMORY",
    "LOAD", "UP", "PLAN", "LAST CHANGE",
)  # fmt: skip


def _verdict(report: Report) -> str:
    word, count = WORDS[report.level].upper(), len(report.found)
    return word if not count else f"{word}: {count} {'problem' if count == 1 else 'problems'}"


def _at_work(report: Report) -> Iterator[tuple[str, str]]:
    """Yield who changes the fleet at present, and what they are at."""
    for host in report.fleet:
        lock = (host.answer or {}).get("lock")
        if lock and lock["until"] is None:
            yield lock["owner"], lock["step"]


def _process_rows(report: Report) -> Iterator[list[str]]:
    for host in report.fleet:
        before = ""
        for generation in sorted(host.generations, key=lambda each: not each["live"]):
            for process in generation["processes"]:
                first = before != generation["id"]
                before = generation["id"]
                yield [
                    host.name,
                    generation["id"] if first else "",
                    _release(generation) if first else "",
                    process["name"],
                    state(generation, process),
                    f"{hosts.clients(process):,}",
                    *_minute(process),
                    f"{process['cores']:.0%}",
                    size(process["memory"]),
                    ago(process["seconds"]),
                    _lag(process),
                ]


def state(generation: GenerationStatus, process: ProcessStatus) -> str:
    """Return what a process is at, in a few words."""
    name, told = process["statename"], process["numbers"]
    again = f", {process['starts'] - 1} restarts" if process["starts"] > 1 else ""
    if name == "BACKOFF" or (name == "STARTING" and process["starts"] > 1):
        return f"restarting, {max(process['ends'], process['starts'] - 1)} times"
    if name not in ("RUNNING", "STOPPING"):
        return name.lower()
    leaves = process["reply"] == "absent" and not generation["live"]
    if name == "STOPPING" or leaves or (told and told["draining"]):
        return f"draining, {hosts.clients(process):,} left"
    if process["reply"] == "silent":
        return "hangs"
    if process["reply"] == "absent":
        return "not listening" if generation["live"] else "starting"
    return f"{'serving' if generation['live'] else 'waiting'}{again}"


def _minute(process: ProcessStatus) -> tuple[str, str]:
    """Return the handshakes and the closes of the last minute."""
    told = process["numbers"]
    if told is None or told["handshakes"] is None or told["closes"] is None:
        return "-", "-"
    good = told["handshakes"].get("101", 0)
    others = [f"{key}:{n:,}" for key, n in sorted(told["handshakes"].items()) if key != "101"]
    closed = [f"{code}:{n:,}" for code, n in sorted(told["closes"].items())]
    return " ".join([f"{good:,}", *others]), " ".join(closed) or "0"


def _lag(process: ProcessStatus) -> str:
    told = process["numbers"]
    if told is None or told["lag"] is None:
        return "-"
    return f"{told['lag'] * 1000:.0f} ms"


def _release(generation: GenerationStatus) -> str:
    commit = generation["commit"]
    changed = "+" if commit and commit["changed"] else ""
    return f"{commit['id']}{changed}" if commit else generation["release"] or "?"


def _host_rows(report: Report) -> Iterator[list[str]]:
    settings = report.settings
    for host in report.fleet:
        answer, role = host.answer, "+".join(host.roles)
        if answer is None:
            yield [host.name, role, "not reached", *(["?"] * (len(HOSTS) - 3))]
            continue
        units = answer.get("units", {})
        left = problems.days(settings, answer)
        full = max((1 - problems.free_part(it) for it in problems.disks(answer)), default=None)
        used = 1 - answer["available"] / answer["memory"] if answer["memory"] else 0.0
        change = answer.get("last_change")
        rules = {True: "as deployed", False: "CHANGED"}.get(answer.get("firewall_as_loaded"), "?")  # type: ignore[arg-type]
        yield [
            host.name,
            role,
            _proxy(host),
            "-" if left is None else f"{left:.0f} days",
            _unit(
                units, f"{settings.name}-certificate.timer", hosts.has_renewal(settings, host.name)
            ),
            _unit(
                units, f"{settings.name}-watchdog.service", hosts.has_watchdog(settings, host.name)
            ),
            rules if hosts.has_firewall(settings) else "-",
            "?" if full is None else f"{full:.0%}",
            f"{used:.0%}",
            f"{answer['load']:.1f}/{answer['processors']}",
            ago(answer["booted"]),
            _plan(host),
            f"{change['action']} {change['time'][:16]} {change['outcome']}"[:50] if change else "-",
        ]


def _proxy(host: HostStatus) -> str:
    answer = host.answer
    if answer is None or "proxy" not in host.roles:
        return "-"
    words = {True: "serves", False: "SERVES NOBODY"}
    served = words[answer["served"]] if "served" in answer else "not asked"
    held = f", {answer['proxy_clients']:,} clients" if "proxy_clients" in answer else ""
    return f"{served}{held}"


def _unit(units: dict[str, dict[str, str]], unit: str, wanted: bool) -> str:
    return units.get(unit, {}).get("ActiveState", "?") if wanted else "-"


def _plan(host: HostStatus) -> str:
    if host.differences is None:
        return "?"
    return f"{len(host.differences)} differ" if host.differences else "as planned"


def size(number: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; nothing in it can move a terminal's cursor."""
    shown = [head, *([summary.readable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    for row in shown:
        cells = [
            cell.rjust(width) if title in NUMBERS else cell.ljust(width)
            for cell, width, title in zip(row, widths, head, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _paint(text: str, level: Level, colour: bool) -> str:
    return f"\x1b[{COLOURS[level]}m{text}\x1b[0m" if colour else text
