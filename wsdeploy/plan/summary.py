"""What is said at the end of a run: two to six lines in the words of whoever started it. Pure."""

from __future__ import annotations

import enum
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wsdeploy.command_line import Action
from wsdeploy.plan import answers
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.survey import Survey
from wsdeploy.settings import Settings
from wshost.requests import Commit, Drain, Gate, Progress, Serving

SUBJECT = 32
"""Characters of a commit's subject in a line."""
CAUSE = 200
"""Characters of why a host failed; all of it is in what pyinfra has shown."""
CHANGES = 4
"""Parts of hosts that are named of those that changed."""
AT_WORK = 2
"""Hosts of which it is said what they are at."""

RELEASES_SHOW = "wsdeploy.releases shows it"

GATED = ("rollout.rollout", "rollout.restore")
"""Programs that end before anything serves if what is new is not healthy."""
COMMAND = "rollout.release_command"
"""The program that runs a release's own commands; no client notices how that ends."""


class Unknown(enum.Enum):
    """What stands for an answer that nobody has given: not the same as that nothing serves."""

    UNKNOWN = "not known"


UNKNOWN: Final = Unknown.UNKNOWN
Seen = Serving | Unknown | None
"""What serves on a host, None for nothing, or UNKNOWN."""


@dataclass
class Work:
    """A program of ours that a host runs."""

    title: str
    """The operation that has started it."""
    program: str
    news: Progress = field(default_factory=Progress)
    """What it has told last of each kind."""
    told_at: float = 0
    """When that was, in seconds since 1970."""


@dataclass
class HostReport:
    """What a run has seen of a host, and done to it."""

    before: Seen = UNKNOWN
    """What served when the run looked first; it does not look on a proxy."""
    now: Seen = UNKNOWN
    untouched: bool = True
    """Whether this run has not begun to change it."""
    processes: int = 0
    clients: int = 0
    """Of what served before, that were closed."""
    seconds: float = 0
    """Which that took."""
    work: Work | None = None
    """What it is at, or was when the run left it."""
    cause: str | None = None
    """Why the host failed."""
    gate_closed: bool = False
    """Whether no client could notice that."""
    lost: bool = False
    """Whether it could not be reached, or not any more."""

    @property
    def switched(self) -> bool:
        """Whether something else serves than before."""
        return self.now is not UNKNOWN and self.now != self.before

    def look(self, serves: Serving | None) -> None:
        """Note what a look at the host has found."""
        if self.untouched:
            self.before = self.now = serves
        elif self.now is UNKNOWN:
            self.now = serves

    def take(self, news: Progress) -> None:
        """Take a piece of news of the program at work."""
        if "served" in news and self.before is UNKNOWN:
            self.before = self.now = news["served"]
        if "serves" in news:
            self.now = news["serves"]
        if self.work:
            self.work.news |= news
            self.work.told_at = time.time()

    def finish(self, serves: Serving | None = None) -> None:
        """Note that the program at work has done what it should. serves: if it told of nothing."""
        if serves and self.work and "serves" not in self.work.news:
            self.now = serves
        drain = self.work.news.get("drain") if self.work else None
        if drain and drain["of"]:
            self.clients += drain["of"]
            self.seconds = max(self.seconds, drain["seconds"])
        self.work = None

    def lose(self, cause: str) -> None:
        """Note that the host can't be reached any more."""
        self.lost, self.cause = True, cause
        if self.work and self.work.program in GATED and "serves" not in self.work.news:
            # It goes on alone.
            self.now = UNKNOWN

    def fail(self, cause: str) -> None:
        """Note that the host failed, and why."""
        self.cause = self.cause or cause
        if self.work:
            noticed = {"drain", "reached"} & self.work.news.keys()
            self.gate_closed = self.work.program in (*GATED, COMMAND) and not noticed
            self.work = None


@dataclass
class Outcome:
    """A run, as it ended."""

    action: Action
    name: str
    address: str
    inventory: str
    command: str
    """What the run was told to do, as on the command line."""
    apps: Mapping[str, HostReport]
    """The app hosts of the run, in the inventory's order."""
    proxies: Mapping[str, HostReport] = field(default_factory=dict)
    """Its other hosts."""
    certificate: str | None = None
    """What `wsdeploy.certificates` makes for clients to verify with; None if they need no such."""
    absent: Sequence[str] = ()
    """App hosts that are no part of it."""
    changed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Operations that changed something, each with the names of its hosts."""
    began: bool = True
    """Whether it got as far as changing anything."""
    refused: bool = False
    """Whether another run has the lock."""
    dry: bool = False
    """Whether it was only to say what it would do."""
    nobody_else: bool = False
    """Whether none of its hosts is left without those that can't be reached."""
    interrupted: bool = False
    failed: bool = False

    def to_json(self) -> dict[str, object]:
        """Return what programs may want to know of it."""
        return {
            "action": self.action,
            "service": self.name,
            "address": self.address,
            "failed": self.failed,
            "hosts": {
                host: {
                    **{
                        when: serves
                        for when, serves in (("before", report.before), ("now", report.now))
                        if serves is not UNKNOWN
                    },
                    "processes": report.processes,
                    "clients_closed": report.clients,
                    "seconds": report.seconds,
                    "cause": report.cause,
                }
                for host, report in (*self.apps.items(), *self.proxies.items())
            },
        }


def serving(settings: Settings, survey: Survey) -> Serving | None:
    """Return what serves on a host by its survey."""
    name = settings.name
    link = survey.paths.get(paths.sockets(name, "current"))
    release = survey.paths.get(f"/srv/{name}/current")
    if link is None or not link.target or release is None or not release.target:
        return None
    identifier = release.target.rpartition("/")[2]
    found: Serving = {"generation": link.target, "release": identifier, "commit": None}
    try:
        noted = json.loads(survey.texts.get(paths.serving(name)) or "{}")
    except (ValueError, RecursionError):
        # It is there for people to read only.
        return found
    if isinstance(noted, dict) and noted.get("release") == identifier:
        found["commit"] = answers.commit(noted.get("commit"))
    return found


def progress(reports: Mapping[str, HostReport]) -> str:
    """Return how far the hosts at work have come, in a line; empty if none has told anything."""
    found = []
    for host, report in reports.items():
        news = report.work.news if report.work else {}
        if drain := news.get("drain"):
            if drain["of"]:
                found.append(f"{host}: {_left(drain)}, {drain['seconds']:.0f} s")
        elif gate := news.get("gate"):
            found.append(f"{host}: {_healthy(gate)}, {gate['seconds']:.0f} s")
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")


def lines(outcome: Outcome) -> list[str]:
    """Return what to say of a run at its end; nothing in it can move a terminal's cursor."""
    if not outcome.began:
        found = _never_began(outcome)
    elif outcome.interrupted:
        found = _interrupted(outcome)
    elif outcome.failed:
        found = _failed(outcome)
    else:
        found = _done(outcome)
    return [readable(line) for line in found]


def readable(line: str) -> str:
    """Return a line in which what is no text to read is spelt."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)


def known(seen: Seen) -> Serving | None:
    """Return what serves, or None if nothing does, or nobody knows."""
    return None if seen is UNKNOWN else seen


def described(seen: Seen) -> str:
    """Return a release in words, with the commit that it was built from if that is known."""
    if seen is UNKNOWN:
        return "not known here"
    if seen is None:
        return "nothing"
    serving = seen
    built_from = serving["commit"]
    if built_from is None:
        return f"release {serving['release']}"
    changed = " with uncommitted changes" if built_from["changed"] else ""
    subject, identifier = _subject(built_from), built_from["id"]
    return f'release {serving["release"]} "{subject}" ({identifier}{changed})'


def commit(found: Commit | None) -> str:
    """Return a commit in a column of a table; empty if there is none."""
    if found is None:
        return ""
    return f"{found['id']}{'+changes' if found['changed'] else ''} {_subject(found)}"


def _subject(found: Commit) -> str:
    subject = found["subject"]
    return subject if len(subject) <= SUBJECT else f"{subject[: SUBJECT - 1].rstrip()}…"


def _never_began(outcome: Outcome) -> Iterator[str]:
    reports = {**outcome.apps, **outcome.proxies}
    lost = [host for host, report in reports.items() if report.lost]
    if not lost:
        yield f"{outcome.name}: nothing was changed"
        return
    yield f"{outcome.name}: nothing was changed, as {_names(lost)} can't be reached"
    yield f"what served at {outcome.address} goes on as it was"
    yield _without(outcome, lost)


def _done(outcome: Outcome) -> Iterator[str]:
    if not outcome.changed:
        yield f"{outcome.name}: nothing to do"
        yield _all_serve(outcome)
        yield from _absent(outcome)
        return
    first, *others = _serve(outcome)
    yield f"{outcome.name}: {first}"
    yield from others
    switched = [report for report in outcome.apps.values() if report.switched]
    if switched:
        yield _before(outcome, switched[0])
    else:
        yield f"changed: {_changes(outcome.changed)}"
        if any(report.clients for report in outcome.apps.values()):
            yield f"old processes are gone; {_closed(outcome)}"
    yield from _absent(outcome)
    if outcome.certificate and switched and switched[0].before is None:
        yield f"next: {_pyinfra(outcome, 'wsdeploy.certificates')}, and a client is"
        yield f"SSL_CERT_FILE={outcome.certificate} python -m websockets {outcome.address}"
    elif next_step := _next(outcome, switched):
        yield f"next: {next_step}"


def _before(outcome: Outcome, report: HostReport) -> str:
    before, now = report.before, known(report.now)
    if outcome.action == "restart":
        return f"its processes were started anew; {_closed(outcome)}"
    if before is None:
        return "before: nothing; it is the first release there"
    if before is UNKNOWN:
        return f"before: not known here; {_closed(outcome)}"
    same = now is not None and before["release"] == now["release"]
    what = f"the same with other settings ({before['generation']})" if same else described(before)
    return f"before: {what}; {_closed(outcome)}"


def _closed(outcome: Outcome) -> str:
    clients = sum(report.clients for report in outcome.apps.values())
    if not clients:
        return "it had no clients"
    seconds = max(report.seconds for report in outcome.apps.values())
    word = "client was" if clients == 1 else "clients were"
    left = "" if any(report.work for report in outcome.apps.values()) else ", none is left"
    return f"its {clients:,} {word} closed over {seconds:.0f} s{left}"


def _next(outcome: Outcome, switched: Sequence[HostReport]) -> str | None:
    if not switched or outcome.action == "restart":
        return None
    before, now = switched[0].before, known(switched[0].now)
    if before is UNKNOWN:
        return None
    if outcome.action == "rollback":
        return _reverted(outcome, before, now)
    if before is None:
        return f"{_pyinfra(outcome, 'wsdeploy.capacity')} says how many clients it can hold"
    same = now is not None and before["release"] == now["release"]
    what = before["generation"] if same else before["release"]
    return f"{_pyinfra(outcome, 'wsdeploy.rollback')} brings {what} back"


def _reverted(outcome: Outcome, before: Serving | None, now: Serving | None) -> str | None:
    """Return what keeps the next deploy from undoing a rollback."""
    if before is None or now is None:
        return None
    if " " in outcome.command:
        # With `to`, it may have gone forwards.
        return "let the code and the inventory say the same; the next deploy brings what they say"
    if before["release"] == now["release"]:
        what = before["generation"]
        return f"revert the settings, too; else the next deploy brings {what} again"
    return f"revert {before['release']} in the code, too; else the next deploy brings it again"


def _failed(outcome: Outcome) -> Iterator[str]:
    reports = {**outcome.apps, **outcome.proxies}
    failed = [host for host, report in reports.items() if report.cause or report.lost]
    if failed:
        host, *others = failed
        cause = reports[host].cause or "it can't be reached any more"
        cause = shortened(cause, CAUSE)
        more = f" (and {_names(others)} failed, too)" if others else ""
        yield f"{outcome.name}: failed on {host}{more}: {cause}"
    else:
        yield f"{outcome.name}: failed; why is said above"
    closed = any(report.clients for report in outcome.apps.values())
    unnoticed = any(reports[host].gate_closed for host in failed) and not closed
    serve = [*_serve(outcome)]
    seen = all(report.now is not UNKNOWN for report in outcome.apps.values())
    if len(serve) == 1 and seen and unnoticed and len(failed) == 1:
        serve = [f"{serve[0]}; no client was closed"]
    yield from serve
    lost = [host for host in failed if reports[host].lost]
    if lost:
        working = [host for host in lost if reports[host].work]
        if working:
            said = any(report.now is UNKNOWN for report in outcome.apps.values())
            show = "" if said else "; wsdeploy.releases shows what serves"
            yield f"{_names(working)} may have gone on alone{show}"
    look = f"{_pyinfra(outcome, 'wsdeploy.releases')} shows what serves where; look first"
    if outcome.refused:
        # That may have been the same rollback.
        rollback = outcome.action == "rollback"
        then = "look at wsdeploy.releases first" if rollback else _pyinfra(outcome)
        yield f"next: when that has ended, {then}; if it is gone, wsdeploy.unlock"
    elif outcome.action == "rollback":
        # Another one could go further back.
        yield f"next: {look}"
    elif lost:
        yield _without(outcome, lost)
    else:
        again = f"next: fix it and run {_pyinfra(outcome)}"
        switched = [report for report in outcome.apps.values() if report.switched]
        if outcome.action == "deploy" and switched and (before := known(switched[0].before)):
            again += f"; or wsdeploy.rollback brings {before['release']} back"
        yield again


def _interrupted(outcome: Outcome) -> Iterator[str]:
    first, *others = _serve(outcome)
    yield f"{outcome.name}: interrupted; {first}"
    yield from others
    reports = {**outcome.apps, **outcome.proxies}
    working = {host: report.work for host, report in reports.items() if report.work}
    for host, work in [*working.items()][:AT_WORK]:
        yield f"{host} goes on by itself: {_at_work(work)}"
    if len(working) > AT_WORK:
        yield f"so do {_names([*working][AT_WORK:])}"
    switched = [report for report in outcome.apps.values() if report.switched]
    if switched and known(switched[0].before):
        closed = sum(report.clients for report in outcome.apps.values())
        before = f"before: {described(switched[0].before)}"
        yield f"{before}; {_closed(outcome)}" if closed else before
    if outcome.action == "deploy":
        yield f"next: {_pyinfra(outcome)} does what is left to do"
    else:
        # Another rollback would go further back.
        yield f"next: {_pyinfra(outcome, 'wsdeploy.releases')} shows what serves where; look first"


def _at_work(work: Work) -> str:
    if drain := work.news.get("drain"):
        by = time.gmtime(work.told_at + drain["at_most"] - drain["seconds"])
        until = time.strftime("%H:%M:%S", by)
        return f"{_left(drain)}, the last is closed by {until} UTC"
    if gate := work.news.get("gate"):
        return f"{_healthy(gate)}; what is new there serves if all become so"
    return f"{work.title} is not done yet"


def _left(drain: Drain) -> str:
    return f"{drain['left']:,} of {drain['of']:,} clients left"


def _healthy(gate: Gate) -> str:
    return f"{gate['healthy']} of {gate['of']} processes healthy"


def _serve(outcome: Outcome) -> Iterator[str]:
    """Yield what serves where: one line if all app hosts have the same."""
    groups: dict[tuple[object, bool], dict[str, HostReport]] = {}
    for host, report in outcome.apps.items():
        group = groups.setdefault((_version(report.now), report.switched), {})
        group[host] = report
    if len(groups) < 2:
        yield _all_serve(outcome)
        return
    for (_, switched), hosts in groups.items():
        now = next(iter(hosts.values())).now
        verb = "serves" if len(hosts) == 1 else "serve"
        if now is UNKNOWN:
            yield f"what {_names(hosts)} {verb} is {described(now)}; {RELEASES_SHOW}"
            continue
        how = " since this run" if switched else " as before"
        yield f"{_names(hosts)} {verb} {described(now)}{how}"


def _version(seen: Seen) -> object:
    """Return what is the same on hosts that serve the same, whose releases may differ by kind."""
    if seen is None or seen is UNKNOWN:
        return seen
    found = seen["commit"]
    return found["id"] if found and not found["changed"] else seen["release"]


def _all_serve(outcome: Outcome) -> str:
    reports = [*outcome.apps.values()]
    if not reports:
        return f"{outcome.address} is served by hosts that were no part of this run"
    first = reports[0]
    if first.now is UNKNOWN:
        if all(report.untouched and not report.lost for report in reports):
            return f"what served at {outcome.address} goes on as it was"
        return f"what serves at {outcome.address} is {described(first.now)}; {RELEASES_SHOW}"
    if first.now is None:
        return f"nothing serves at {outcome.address} yet"
    if outcome.failed:
        # There is more to be said, and how many there are is as it was.
        go_on = "serves" if first.switched else "goes on serving"
        return f"{described(first.now)} {go_on} at {outcome.address}"
    number = sum(report.processes for report in reports)
    hosts = next(iter(outcome.apps)) if len(reports) == 1 else f"{len(reports)} hosts"
    processes = f"{number} process{'es' if number != 1 else ''}"
    return f"{described(first.now)} serves at {outcome.address} from {hosts}, {processes}"


def _absent(outcome: Outcome) -> Iterator[str]:
    if outcome.absent and outcome.apps:
        yield f"not part of this run: {_names(outcome.absent)}"


def _without(outcome: Outcome, lost: Sequence[str]) -> str:
    back, them = ("it is", "it") if len(lost) == 1 else ("they are", "them")
    again = f"next: {_pyinfra(outcome)} when {back} back"
    if outcome.nobody_else:
        return again
    return f"{again}, or without {them}: {' '.join(f'--exclude {host}' for host in lost)}"


def shortened(text: str, most: int) -> str:
    """Return a text of so many characters at most, cut between two words."""
    if len(text) <= most:
        return text
    cut = text[: most - 2]
    # Without the part of a word that may be at its end.
    return f"{cut.rpartition(' ')[0].rstrip(' ,;:') or cut} …"


def _pyinfra(outcome: Outcome, command: str = "") -> str:
    option = "--dry" if outcome.dry and not command else "-y"
    return f"pyinfra {option} {outcome.inventory} {command or outcome.command}"


def _changes(changed: Mapping[str, Sequence[str]]) -> str:
    found = [f"{title} on {_names(hosts)}" for title, hosts in changed.items()]
    more = f"; and {len(found) - CHANGES} more" if len(found) > CHANGES else ""
    return "; ".join(found[:CHANGES]) + more


def _names(hosts: Iterable[str]) -> str:
    names = [*hosts]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
