"""The logs of a fleet as one, in order of time, and what cut a client off. Pure."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wsdeploy.plan import summary
from wsdeploy.plan.proxy import proxies
from wsdeploy.settings import Settings
from wshost import requests
from wshost.requests import LogLine

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
MOST = 1000
"""Lines that are shown unless more are asked for."""
EVENTS = ("supervisor", "watchdog", "kernel", "deploys")
AROUND = 15.0
"""Seconds around the end of a connection in which what ended its process is told.

Proxies note a connection's end to the second; the watchdog kills what has hung for a while.
"""
OVERLAP = 3.0
"""Seconds that are asked for again while logs are followed: some lines come late."""
MOVED = ("101",)
CODE = re.compile(r'\bcode(?:=|": ?)(\d+)')
"""Of a line of wsapp's, in text and in JSON."""
ENDED = re.compile(r"exited: |killed|Killed|oom-kill|Out of memory")


class LogsError(Exception):
    """An argument is none of those that are allowed; the message says which are."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for."""

    since: float
    until: float
    host: str | None = None
    process: str | None = None
    grep: str | None = None
    find: tuple[str, ...] = ()
    """A client's address, or the ID of a request: all that has to do with its connections."""
    most: int = MOST
    follow: bool = False

    def request(self, settings: Settings, host: str) -> requests.Logs:
        """Return what to ask a host."""
        is_proxy = host in settings.topology.proxy
        return {
            "name": settings.name,
            "since": self.since,
            "until": self.until,
            "proxy": proxies.chosen(settings).UNIT if is_proxy else None,
            "process": self.process,
            "grep": self.grep,
            "words": list(self.find),
            "most": self.most,
        }


@dataclass(frozen=True)
class Line:
    """A line of a log of a host."""

    time: float
    host: str
    source: str
    text: str

    def shown(self, width: int = 0) -> str:
        """Return it for people, so that it moves no cursor. width: of its origin."""
        milliseconds = round(self.time * 1000)
        whole = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(milliseconds // 1000))
        origin = summary.readable(f"{self.host} {self.source}").ljust(width)
        return f"{whole}.{milliseconds % 1000:03d} {origin}  {summary.readable(self.text)}"


def moment(word: str, now: float) -> float:
    """Return a moment in seconds since 1970: 15m, 2h and 3d ago, or an ISO time, which is UTC.

    Raises LogsError.
    """
    if match := re.fullmatch(r"(\d{1,9})(s|m|min|h|d)", word):
        return now - int(match[1]) * UNITS[match[2]]
    try:
        found = datetime.datetime.fromisoformat(word.replace("Z", "+00:00"))
    except ValueError:
        raise LogsError(
            f"{word!r} is no time; give 90s, 15m, 2h or 3d, or 2026-01-31T03:00 in UTC"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()


def wanted(words: Mapping[str, object], now: float) -> Wanted:
    """Return what a command's arguments ask for. Raises LogsError."""
    text = {name: str(word) for name, word in words.items() if word is not None}
    if grep := text.get("grep"):
        try:
            re.compile(grep)
        except re.error as error:
            raise LogsError(f"grep={grep} is no regular expression: {error}") from None
    lines = text.get("lines", str(MOST))
    if not lines.isdecimal() or not 0 < int(lines) <= 100_000:
        raise LogsError(f"lines={lines} is no number from 1 to 100,000")
    follow = text.get("follow", "no").lower()
    if follow not in ("yes", "no", "true", "false"):
        raise LogsError(f"follow={follow} is neither yes nor no")
    return Wanted(
        since=moment(text.get("since", "15m"), now),
        until=moment(text["until"], now) if "until" in text else now + 3600,
        host=text.get("host"),
        process=text.get("process"),
        grep=grep,
        find=tuple(text[name] for name in ("client", "request") if name in text),
        most=int(lines),
        follow=follow in ("yes", "true"),
    )


def merged(answers: Mapping[str, Sequence[LogLine]]) -> list[Line]:
    """Return the lines of all hosts in order of time. answers: by the hosts' names."""
    found = [
        Line(each["time"], host, each["source"], each["text"])
        for host, lines in answers.items()
        for each in lines
    ]
    return sorted(found, key=lambda line: line.time)


def fresh(lines: Iterable[Line], seen: Counter[Line]) -> Iterator[Line]:
    """Yield the lines that were not seen before, and count them as seen."""
    found: Counter[Line] = Counter()
    for line in lines:
        found[line] += 1
        if found[line] > seen[line]:
            yield line
    seen.clear()
    seen.update(found)


@dataclass(frozen=True)
class Connection:
    """A connection of a client, by the line that its proxy wrote at its end."""

    proxy: str
    client: str
    id: str
    status: str
    seconds: float
    end: float
    host: str | None
    """Of its process; None if that is not known."""
    process: str | None
    """None if several share a port."""

    @classmethod
    def of(cls, line: Line, settings: Settings) -> Connection | None:
        """Return the connection that a line of a proxy's is about; None if it is about none."""
        try:
            found = json.loads(line.text)
            seconds = found["seconds"] if "seconds" in found else found["milliseconds"] / 1000
            upstream = str(found["upstream"]).rpartition(", ")[2]
            host, process = upstream_of(upstream, line.host, settings)
            client, name, status = (str(found[k]) for k in ("client", "request_id", "status"))
            return cls(line.host, client, name, status, float(seconds), line.time, host, process)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def is_about(self, line: Line) -> bool:
        """Tell whether a line may say what ended it: of its process, around its end."""
        near = abs(line.time - self.end) <= AROUND
        if self.host is None or line.host != self.host or not near:
            return False
        return self.process is None or line.source == "kernel" or self.process in line.text


def upstream_of(upstream: str, proxy: str, settings: Settings) -> tuple[str | None, str | None]:
    """Return the host and the process that a proxy has passed a client to.

    upstream: as nginx names it, unix:/run/ws/current/ws_00.sock or 10.0.0.1:8000, or HAProxy,
    app1-ws_00.
    """
    name = settings.name
    process = rf"{re.escape(name)}_\d\d"
    if match := re.fullmatch(rf"unix:.*/({process})\.sock:?", upstream):
        return proxy, match[1]
    for host in settings.topology.app:
        address = settings.topology.listen_address(host)
        where, _, port = upstream.rpartition(":")
        if address and where.strip("[]") == address and port.isdecimal():
            number = int(port) - settings.app.port
            shared = settings.listen() == "shared" or not 0 <= number < 100
            return host, None if shared else f"{name}_{number:02d}"
        as_haproxy = re.sub(r"[^\w.:-]", "_", host, flags=re.ASCII)
        if match := re.fullmatch(
            rf"{re.escape(as_haproxy)}-({process}|{re.escape(name)})", upstream
        ):
            return host, match[1] if match[1] != name else None
    return None, None


def connections(lines: Iterable[Line], settings: Settings) -> list[Connection]:
    """Return the connections that lines of proxies are about."""
    found = (Connection.of(line, settings) for line in lines if line.source == "proxy")
    return [each for each in found if each]


def about(lines: Iterable[Line], found: Sequence[Connection]) -> list[Line]:
    """Return the lines that have to do with connections: their own, and what ended them."""
    return [
        line
        for line in lines
        if line.source not in EVENTS or any(each.is_about(line) for each in found)
    ]


def _ends(connection: Connection, lines: Iterable[Line]) -> Iterator[str]:
    """Yield what is said of the end of a connection's process, the nearest of each source."""
    found = [
        line
        for line in lines
        if line.source in EVENTS and connection.is_about(line) and ENDED.search(line.text)
    ]
    nearest = sorted(found, key=lambda line: abs(line.time - connection.end))
    yield from {line.source: f"{line.source}: {line.text}" for line in reversed(nearest)}.values()


def explanation(found: Sequence[Connection], lines: Sequence[Line]) -> Iterator[str]:
    """Yield a line for each connection: from whom to whom, for how long, and what ended it."""
    for each in found:
        began = time.strftime("%H:%M:%S", time.gmtime(each.end - each.seconds))
        end = time.strftime("%H:%M:%S", time.gmtime(each.end))
        where = f"{each.host} {each.process or 'a process that shares its port'}"
        if each.status not in MOVED:
            what = f"was answered {each.status} at {end}"
        else:
            what = f"was served by {where} from {began} to {end} ({each.seconds:.1f} s)"
        own = [line.text for line in lines if each.id in line.text]
        codes = [match[1] for text in own if (match := CODE.search(text))]
        why = f"; the app saw it end, code {codes[-1]}" if codes else ""
        if not codes and each.status in MOVED and (ends := [*_ends(each, lines)]):
            why = f"; its process ended: {'; '.join(ends)}"
        yield summary.readable(f"{each.client}, request {each.id}, {what}{why}")
