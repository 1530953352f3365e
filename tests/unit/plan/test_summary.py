"""What a run says at its end."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plan.conftest import MakeSettings
from wsdeploy.plan import summary
from wsdeploy.plan.host.survey import PathState, Survey
from wsdeploy.plan.summary import UNKNOWN, HostReport, Outcome, Seen, Work
from wshost.requests import Drain, Progress, Serving

DOCS = (Path(__file__).parents[3] / "docs" / "operate" / "deploys.md").read_text()
OLD: Serving = {
    "generation": "0d9a77e1b6c3",
    "release": "91bd0e7a3c55",
    "commit": {"id": "77ab210", "subject": "Fix typo", "changed": False},
}
NEW: Serving = {
    "generation": "5b0e8d2c91aa",
    "release": "c04d1f6a8e77",
    "commit": {"id": "4f0c9de", "subject": "Add rooms", "changed": False},
}
NEWER, OLDER = (
    'release c04d1f6a8e77 "Add rooms" (4f0c9de)',
    'release 91bd0e7a3c55 "Fix typo" (77ab210)',
)
AT, RUN = "wss://ws.a-company.com/", "pyinfra -y inventories/prod.py"
ROOM = 110
"""Columns of a line. Names of the example take some 40."""


def report(before: Seen = OLD, now: Seen = NEW, **more: Any) -> HostReport:
    return HostReport(before, now, processes=4, **more)


def outcome(*reports: HostReport, **more: Any) -> Outcome:
    """A run on app1, app2 and so on, each of which is a proxy, too."""
    apps = {f"app{number}": each for number, each in enumerate(reports, 1)}
    changed: dict[str, list[str]] = (
        {} if all(each.now == each.before for each in reports) else {"Processes": [*apps]}
    )
    given: dict[str, Any] = {
        "action": "deploy",
        "name": "ws",
        "address": "wss://ws.a-company.com/",
        "inventory": "inventories/prod.py",
        "command": "deploy.py",
        "apps": apps,
        "changed": changed,
    }
    return Outcome(**(given | more))


def at_work(news: Progress) -> Work:
    # In the first second of 1970.
    return Work("App | Old processes", "rollout.retire", news, told_at=0)


DRAIN: Drain = {"left": 23, "of": 50, "seconds": 14.2, "at_most": 59.2}
UNHEALTHY = (
    "ws_00 ends whenever it is started (exit status 1) (waited 0.7 s; nobody was sent there)"
)


def failed(
    host: HostReport,
    cause: str = UNHEALTHY,
    program: str = "rollout.rollout",
    news: Progress | None = None,
) -> HostReport:
    host.work = Work("App | Processes", program, news or {})
    host.fail(cause)
    return host


def lost(
    host: HostReport, program: str = "rollout.retire", news: Progress | None = None
) -> HostReport:
    host.work = Work("App | Processes", program, news or {})
    host.lose("the connection was lost")
    return host


SHOWN = {
    "the first run": (
        outcome(report(before=None), report(before=None)),
        f"""
        ws: {NEWER} serves at {AT} from 2 hosts, 8 processes
        before: nothing; it is the first release there
        next: {RUN} wsdeploy.capacity says how many clients it can hold
        """,
    ),
    "a new release": (
        outcome(report(clients=30, seconds=33.1), report(clients=20, seconds=32.0)),
        f"""
        ws: {NEWER} serves at {AT} from 2 hosts, 8 processes
        before: {OLDER}; its 50 clients were closed over 33 s, none is left
        next: {RUN} wsdeploy.rollback brings 91bd0e7a3c55 back
        """,
    ),
    "nothing to do": (
        outcome(report(before=NEW), report(before=NEW)),
        f"""
        ws: nothing to do
        {NEWER} serves at {AT} from 2 hosts, 8 processes
        """,
    ),
    "a bad release": (
        outcome(failed(report(now=OLD)), report(now=OLD), failed=True),
        f"""
        ws: failed on app1: {UNHEALTHY}
        {OLDER} goes on serving at {AT}; no client was closed
        next: fix it and run {RUN} deploy.py
        """,
    ),
    "Ctrl-C in a drain": (
        outcome(report(work=at_work({"drain": DRAIN})), report(), interrupted=True, failed=True),
        f"""
        ws: interrupted; {NEWER} serves at {AT}
        app1 goes on by itself: 23 of 50 clients left, the last is closed by 00:00:45 UTC
        before: {OLDER}
        next: {RUN} deploy.py does what is left to do
        """,
    ),
    "a host that is off": (
        outcome(
            report(None, None), HostReport(lost=True), began=False, failed=True, changed={}
        ),
        f"""
        ws: nothing was changed, as app2 can't be reached
        what served at {AT} goes on as it was
        next: {RUN} deploy.py when it is back, or without it: --exclude app2
        """,
    ),
    "a host that is lost in a drain": (
        outcome(report(), lost(report()), failed=True),
        f"""
        ws: failed on app2: the connection was lost
        {NEWER} serves at {AT}
        app2 may have gone on alone; wsdeploy.releases shows what serves
        next: {RUN} deploy.py when it is back, or without it: --exclude app2
        """,
    ),
}  # fmt: skip
"""What docs/operate/deploys.md shows, too."""

MORE = {
    "other settings": (
        outcome(report(before=NEW | {"generation": "old"}, clients=1, seconds=3)),
        f"""
        ws: {NEWER} serves at {AT} from app1, 4 processes
        before: the same with other settings (old); its 1 client was closed over 3 s, none is left
        next: {RUN} wsdeploy.rollback brings old back
        """,
    ),
    "another part of the hosts": (
        outcome(report(before=NEW), changed={"HAProxy": ["lb1", "lb2"], "Firewall": ["app1"]}),
        f"""
        ws: {NEWER} serves at {AT} from app1, 4 processes
        changed: HAProxy on lb1, lb2; Firewall on app1
        """,
    ),
    "a rollback": (
        outcome(report(NEW, OLD), action="rollback", command="wsdeploy.rollback"),
        f"""
        ws: {OLDER} serves at {AT} from app1, 4 processes
        before: {NEWER}; it had no clients
        next: revert c04d1f6a8e77 in the code, too; else the next deploy brings it again
        """,
    ),
    "a rollback to other settings": (
        outcome(
            report(NEW | {"generation": "new"}), action="rollback", command="wsdeploy.rollback"
        ),
        f"""
        ws: {NEWER} serves at {AT} from app1, 4 processes
        before: the same with other settings (new); it had no clients
        next: revert the settings, too; else the next deploy brings new again
        """,
    ),
    "a rollback by name": (
        outcome(report(), action="rollback", command="wsdeploy.rollback to=c04d1f6a8e77"),
        f"""
        ws: {NEWER} serves at {AT} from app1, 4 processes
        before: {OLDER}; it had no clients
        next: let the code and the inventory say the same; the next deploy brings what they say
        """,
    ),
    "a rollback of hosts that did not tell what they served": (
        outcome(report(UNKNOWN, OLD), action="rollback", command="wsdeploy.rollback"),
        f"""
        ws: {OLDER} serves at {AT} from app1, 4 processes
        before: not known here; it had no clients
        """,
    ),
    "a restart before which nobody has looked": (
        outcome(report(UNKNOWN, NEW), action="restart", command="wsdeploy.restart"),
        f"""
        ws: {NEWER} serves at {AT} from app1, 4 processes
        its processes were started anew; it had no clients
        """,
    ),
    "a restart that is refused the lock": (
        outcome(
            failed(HostReport(), "another run is at work", ""),
            action="restart",
            command="wsdeploy.restart",
            failed=True,
            refused=True,
        ),
        f"""
        ws: failed on app1: another run is at work
        what served at {AT} goes on as it was
        next: when that has ended, {RUN} wsdeploy.restart; if it is gone, wsdeploy.unlock
        """,
    ),
    "a rollback that fails late": (
        outcome(
            report(NEW, OLD),
            failed(report(NEW, OLD), "no", "rollout.retire"),
            action="rollback",
            command="wsdeploy.rollback",
            failed=True,
        ),
        f"""
        ws: failed on app2: no
        {OLDER} serves at {AT}
        next: {RUN} wsdeploy.releases shows what serves where; look first
        """,
    ),
    "a rollback that loses a host": (
        outcome(lost(report(NEW, OLD)), action="rollback", command="x", failed=True),
        f"""
        ws: failed on app1: the connection was lost
        {OLDER} serves at {AT}
        app1 may have gone on alone; wsdeploy.releases shows what serves
        next: {RUN} wsdeploy.releases shows what serves where; look first
        """,
    ),
    "another run has the lock that a rollback wants": (
        outcome(
            failed(HostReport(), "another run is at work", ""),
            action="rollback",
            command="wsdeploy.rollback",
            failed=True,
            refused=True,
        ),
        f"""
        ws: failed on app1: another run is at work
        what served at {AT} goes on as it was
        next: when that has ended, look at wsdeploy.releases first; if it is gone, wsdeploy.unlock
        """,
    ),
    "a bad release on a port that old and new processes share": (
        outcome(failed(report(now=OLD), news={"reached": True}), failed=True),
        f"""
        ws: failed on app1: {UNHEALTHY}
        {OLDER} goes on serving at {AT}
        next: fix it and run {RUN} deploy.py
        """,
    ),
    "a host that is lost while its gate waits": (
        outcome(lost(report(now=OLD), "rollout.rollout"), nobody_else=True, failed=True),
        f"""
        ws: failed on app1: the connection was lost
        what serves at {AT} is not known here; wsdeploy.releases shows it
        app1 may have gone on alone
        next: {RUN} deploy.py when it is back
        """,
    ),
    "a host that is lost when it has switched": (
        outcome(lost(report(), "rollout.rollout", {"serves": NEW}), failed=True),
        f"""
        ws: failed on app1: the connection was lost
        {NEWER} serves at {AT}
        app1 may have gone on alone; wsdeploy.releases shows what serves
        next: {RUN} deploy.py when it is back, or without it: --exclude app1
        """,
    ),
    "a dry run of the only host, that is off": (
        outcome(
            HostReport(lost=True),
            began=False,
            dry=True,
            nobody_else=True,
            failed=True,
            changed={},
        ),
        f"""
        ws: nothing was changed, as app1 can't be reached
        what served at {AT} goes on as it was
        next: pyinfra --dry inventories/prod.py deploy.py when it is back
        """,
    ),
    "a host that did not say what it serves": (
        outcome(failed(HostReport(untouched=False), "no", ""), failed=True),
        f"""
        ws: failed on app1: no
        what serves at {AT} is not known here; wsdeploy.releases shows it
        next: fix it and run {RUN} deploy.py
        """,
    ),
    "one host of two that did not say what it serves": (
        outcome(failed(HostReport(untouched=False), "no", ""), report(now=OLD), failed=True),
        f"""
        ws: failed on app1: no
        what app1 serves is not known here; wsdeploy.releases shows it
        app2 serves {OLDER} as before
        next: fix it and run {RUN} deploy.py
        """,
    ),
    "a restart": (
        outcome(
            report(NEW, NEW | {"generation": "5b0e8d2c91aa-1"}, clients=5, seconds=3),
            action="restart",
            command="wsdeploy.restart",
        ),
        f"""
        ws: {NEWER} serves at {AT} from app1, 4 processes
        its processes were started anew; its 5 clients were closed over 3 s, none is left
        """,
    ),
    "a deploy that failed half-way": (
        outcome(report(), failed(report(now=OLD)), report(now=OLD), failed=True),
        f"""
        ws: failed on app2: {UNHEALTHY}
        app1 serves {NEWER} since this run
        app2, app3 serve {OLDER} as before
        next: fix it and run {RUN} deploy.py; or wsdeploy.rollback brings 91bd0e7a3c55 back
        """,
    ),
    "the first run, failed": (
        outcome(failed(report(None, None), "E: no", ""), failed=True, changed={"System": ["app1"]}),
        f"""
        ws: failed on app1: E: no
        nothing serves at {AT} yet
        next: fix it and run {RUN} deploy.py
        """,
    ),
    "another run has the lock": (
        outcome(failed(report(now=OLD), "another run is at work", ""), failed=True, refused=True),
        f"""
        ws: failed on app1: another run is at work
        {OLDER} goes on serving at {AT}
        next: when that has ended, {RUN} deploy.py; if it is gone, wsdeploy.unlock
        """,
    ),
    "Ctrl-C late in a drain": (
        outcome(report(clients=50, seconds=33), interrupted=True, failed=True),
        f"""
        ws: interrupted; {NEWER} serves at {AT}
        before: {OLDER}; its 50 clients were closed over 33 s, none is left
        next: {RUN} deploy.py does what is left to do
        """,
    ),
    "Ctrl-C while a gate waits": (
        outcome(
            report(now=OLD, work=at_work({"gate": {"healthy": 3, "of": 4, "seconds": 12}})),
            interrupted=True,
            failed=True,
        ),
        f"""
        ws: interrupted; {OLDER} goes on serving at {AT}
        app1 goes on by itself: 3 of 4 processes healthy; what is new there serves if all become so
        next: {RUN} deploy.py does what is left to do
        """,
    ),
    "Ctrl-C in a rollback, at many hosts": (
        outcome(
            *(report(NEW, OLD, work=Work("Old processes", "rollout.retire")) for _ in range(4)),
            action="rollback",
            interrupted=True,
            failed=True,
        ),
        f"""
        ws: interrupted; {OLDER} serves at {AT}
        app1 goes on by itself: Old processes is not done yet
        app2 goes on by itself: Old processes is not done yet
        so do app3, app4
        before: {NEWER}
        next: {RUN} wsdeploy.releases shows what serves where; look first
        """,
    ),
    "a first run without an authority": (
        outcome(report(before=None), certificate="certificates/ws.a-company.com.pem"),
        f"""
        ws: {NEWER} serves at {AT} from app1, 4 processes
        before: nothing; it is the first release there
        next: {RUN} wsdeploy.certificates, and a client is
        SSL_CERT_FILE=certificates/ws.a-company.com.pem python -m websockets {AT}
        """,
    ),
    "all hosts are off": (
        outcome(
            HostReport(lost=True), HostReport(lost=True),
            began=False, nobody_else=True, failed=True, changed={},
        ),
        f"""
        ws: nothing was changed, as app1, app2 can't be reached
        what served at {AT} goes on as it was
        next: {RUN} deploy.py when they are back
        """,
    ),
    "proxies alone": (
        outcome(proxies={"lb1": HostReport()}, absent=["app1"], changed={}),
        f"""
        ws: nothing to do
        {AT} is served by hosts that were no part of this run
        """,
    ),
    "a part of the fleet": (
        outcome(report(before=NEW), absent=["app2", "app3"]),
        f"""
        ws: nothing to do
        {NEWER} serves at {AT} from app1, 4 processes
        not part of this run: app2, app3
        """,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN | MORE)
def test_what_is_said(name: str) -> None:
    run, wanted = (SHOWN | MORE)[name]
    lines = summary.lines(run)
    assert lines == [line.strip() for line in wanted.strip().splitlines()]
    assert len(lines) <= 6
    assert max(map(len, lines)) <= ROOM


@pytest.mark.parametrize("name", SHOWN)
def test_the_docs_show_it(name: str) -> None:
    run, _ = SHOWN[name]
    assert "\n".join(["```text", *summary.lines(run), "```"]) in DOCS


def committed(**commit: Any) -> str:
    now: Any = NEW | {"commit": {**(NEW["commit"] or {}), **commit}}
    return summary.lines(outcome(report(now, now)))[1]


def test_a_commit_is_shown_so_that_it_does_no_harm() -> None:
    assert '"Fix \\x1b[31m\\x07\\u202e"' in committed(subject="Fix \x1b[31m\x07\u202e")
    assert f'"{"x" * (summary.SUBJECT - 1)}…"' in committed(subject="x" * 100)
    assert "(4f0c9de with uncommitted changes)" in committed(changed=True)


def test_an_app_that_is_in_no_git() -> None:
    now = NEW | {"commit": None}
    assert "release c04d1f6a8e77 serves" in summary.lines(outcome(report(now, now)))[1]


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        ("x" * 1000, "x" * 198 + " …"),
        ("waited, and waited, " * 50, "waited, and waited, " * 9 + "waited, and …"),
        ("short", "short"),
    ],
)
def test_a_cause_is_cut_after_a_word(cause: str, shown: str) -> None:
    run = outcome(failed(report(now=OLD), cause), failed=True)
    assert summary.lines(run)[0] == f"ws: failed on app1: {shown}"


def test_a_gate_that_came_after_a_drain_promises_nothing() -> None:
    # Processes that can't share their port go one after the other.
    host = report(now=OLD)
    host.work = Work("App | Processes", "rollout.rollout", {"drain": DRAIN})
    host.fail(UNHEALTHY)
    assert "no client" not in "".join(summary.lines(outcome(host, failed=True)))


@pytest.mark.parametrize(
    ("news", "wanted"),
    [
        ([{}], ""),
        ([{"drain": DRAIN}], "app1: 23 of 50 clients left, 14 s"),
        ([{"drain": DRAIN | {"of": 0}}], ""),
        (
            [{"gate": {"healthy": 1, "of": 2, "seconds": 3.4}}, {"drain": DRAIN}],
            "app1: 1 of 2 processes healthy, 3 s; app2: 23 of 50 clients left, 14 s",
        ),
        ([{"drain": DRAIN}] * 5, "; app3: 23 of 50 clients left, 14 s; and 2 more"),
    ],
)
def test_progress(news: list[Progress], wanted: str) -> None:
    hosts = {f"app{n}": HostReport(work=at_work(each)) for n, each in enumerate(news, 1)}
    found = summary.progress(hosts)
    assert found == wanted or (wanted.startswith(";") and found.endswith(wanted))


def test_what_a_program_tells_is_kept() -> None:
    host = HostReport(OLD, OLD, work=Work("x", "rollout.retire"))
    host.take({"drain": DRAIN})
    host.take({"drain": DRAIN | {"left": 0, "seconds": 33.0}})
    host.take({"serves": NEW})
    assert host.switched
    host.finish()
    assert (host.clients, host.seconds, host.now) == (50, 33.0, NEW)


def test_what_serves_is_not_known_until_somebody_looks() -> None:
    host = HostReport()
    assert not host.switched
    host.look(OLD)
    host.untouched = False
    host.look(NEW)
    assert (host.before, host.now) == (OLD, OLD)
    restarted = HostReport(untouched=False)
    restarted.take({"served": OLD})
    assert (restarted.before, restarted.now) == (OLD, OLD)
    late = HostReport(untouched=False)
    late.look(NEW)
    assert (late.before, late.now) == (UNKNOWN, NEW)


def test_json_has_nothing_of_what_is_not_known() -> None:
    found: Any = outcome(report(None, NEW), report(UNKNOWN, UNKNOWN)).to_json()["hosts"]
    assert (found["app1"]["before"], found["app1"]["now"]) == (None, NEW)
    assert not {"before", "now"} & set(found["app2"])


def test_what_serves_by_a_survey(make: MakeSettings) -> None:
    link = PathState("link", 0o777, "root", "root")
    paths = {
        "/run/ws/current": dataclasses.replace(link, target=NEW["generation"]),
        "/srv/ws/current": dataclasses.replace(link, target=f"releases/{NEW['release']}"),
    }
    file = "/var/lib/wsdeploy/services/ws/serving.json"
    settings = make()
    bare = NEW | {"commit": None}
    for text, wanted in (
        (None, bare),
        ("{", bare),
        ("[]", bare),
        ("[" * 3000, bare),
        (f'{{"a": {"[" * 3000}{"]" * 3000}}}', bare),
        ('{"release": "c04d1f6a8e77", "commit": 5}', bare),
        ('{"release": "another", "commit": {"id": "1", "subject": "", "changed": false}}', bare),
        (
            '{"release": "c04d1f6a8e77", "commit": '
            '{"id": "4f0c9de", "subject": "Add rooms", "changed": false}}',
            NEW,
        ),
    ):
        survey = Survey(paths=paths, texts={file: text} if text else {})
        assert summary.serving(settings, survey) == wanted
    assert summary.serving(settings, Survey(bare=True)) is None
