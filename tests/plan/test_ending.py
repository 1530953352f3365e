"""What a run says at its end, of hosts that only answer."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pyinfra_server
from tests.plan.conftest import TIERS, Answers, Converged, Deploy, Fleet, MakeFleet, Run

REPOSITORY = Path(__file__).parents[2]
OLD = {"generation": "0" * 12, "release": "1" * 12}
COMMITTED = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--all")


def said(done: Run) -> list[str]:
    """The lines after all that pyinfra says."""
    return done.err.rpartition("\n\n")[2].splitlines()


def with_old(surveys: Answers, *hosts: str) -> Answers:
    """Let hosts serve another release, whose commit they know."""
    commit = {"id": "77ab210", "subject": "Fix \x1b[2Jtypo", "changed": False}
    for host in hosts:
        survey = surveys[f"@fake/{host}"]
        survey["paths"]["/run/ws/current"]["target"] = OLD["generation"]
        survey["paths"]["/srv/ws/current"]["target"] = f"releases/{OLD['release']}"
        note = json.dumps(OLD | {"commit": commit})
        survey["texts"]["/var/lib/wsdeploy/services/ws/serving.json"] = note
    return surveys


def failing(host: str, program: str, words: str) -> dict[str, dict[str, object]]:
    return {f"@fake/{host}": {f"wsdeploy-{program}": {"success": False, "stderr": words}}}


@pytest.fixture
def commit(folder: Path) -> str:
    """Let the app be in git; returns the commit's ID."""
    subprocess.run(("git", "init", "--quiet"), cwd=folder, check=True)
    subprocess.run(("git", "add", "app.py"), cwd=folder, check=True)
    subprocess.run((*COMMITTED, "--message", "Add rooms"), cwd=folder, check=True)
    head = subprocess.check_output(("git", "log", "--format=%h"), cwd=folder, text=True)
    return head.strip()


def test_nothing_to_do(deploy: Deploy, tiers: MakeFleet, converged: Converged, commit: str) -> None:
    fleet = tiers()
    first, second = said(deploy(fleet, converged(fleet), "-y"))
    assert first == "ws: nothing to do"
    # The host does not know the commit, but the code is the same.
    assert f'"Add rooms" ({commit}) serves at wss://ws.a-company.com/ from 2 hosts' in second


def test_a_new_release(
    deploy: Deploy, tiers: MakeFleet, converged: Converged, commit: str, folder: Path
) -> None:
    fleet = tiers()
    done = deploy(fleet, with_old(converged(fleet), "app1", "app2"), "-y", "--json")
    first, before, step = said(done)
    assert re.fullmatch(
        rf'ws: release \w{{12}} "Add rooms" \({commit}\) serves at wss://ws.a-company.com/ '
        "from 2 hosts, 8 processes",
        first,
    )
    release = 'release 111111111111 "Fix \\x1b[2Jtypo" (77ab210)'
    assert before == f"before: {release}; it had no clients"
    inventory = folder / "inventory.py"
    assert step == f"next: pyinfra -y {inventory} wsdeploy.rollback brings 111111111111 back"
    # One document, with pyinfra's own results in it.
    found = json.loads(done.out)
    assert found["results"]["totals"]["error"] == 0
    run = found["wsdeploy"]["run"]
    assert (run["action"], run["service"], run["failed"]) == ("deploy", "ws", False)
    host = run["hosts"]["@fake/app1"]
    assert host["before"]["release"] == "1" * 12
    assert host["now"]["commit"] == {"id": commit, "subject": "Add rooms", "changed": False}
    assert "@fake/lb1" in run["hosts"]


def test_a_release_that_fails_on_the_second_host(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    surveys = with_old(converged(fleet), "app1", "app2")
    aside = "sudo: unable to resolve host app2: Name or service not known"
    words = f"{aside}\nws_00 is not healthy: no\nThe last lines of"
    others = failing("app2", "rollout", words)
    done = deploy(fleet, surveys, "-y", others=others)
    assert done.code == 1
    first, new, old, step = said(done)
    assert first == "ws: failed on @fake/app2: ws_00 is not healthy: no"
    assert re.fullmatch(r"@fake/app1 serves release \w{12} since this run", new)
    assert old.startswith("@fake/app2 serves release 111111111111 ")
    assert step.startswith("next: fix it and run pyinfra -y ")


def test_a_release_that_is_refused_everywhere(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    surveys = with_old(converged(fleet), "app1", "app2")
    done = deploy(fleet, surveys, "-y", others=failing("app1", "rollout", "no"))
    first, serves, _ = said(done)
    assert first == "ws: failed on @fake/app1: no"
    assert serves.endswith("goes on serving at wss://ws.a-company.com/; no client was closed")


def test_a_proxy_that_fails(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers()
    surveys = converged(fleet)
    surveys["@fake/lb1"]["paths"].pop("/etc/nginx/nginx.conf")
    done = deploy(fleet, surveys, "-y", others=failing("lb1", "apply_files", "nginx -t failed"))
    first, serves, _ = said(done)
    assert first == "ws: failed on @fake/lb1: nginx -t failed"
    assert serves.endswith("goes on serving at wss://ws.a-company.com/")


def test_a_lock_that_can_not_be_asked_for(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone()
    silent = {"@fake/one": {"wsdeploy-lock": {"success": False}}}
    done = deploy(fleet, with_old(converged(fleet), "one"), "-y", others=silent)
    first, _, step = said(done)
    assert first.endswith("can't be taken: it did not answer")
    assert "unlock" not in step


HELD = {
    "id": "hers", "owner": "anna@laptop", "since": 0.0, "step": "x", "until": None,
    "process": {"pid": 7, "start": "1", "where": "another machine"},
}  # fmt: skip
REFUSED = {"wsdeploy-lock": json.dumps({"taken": False, "before": HELD})}


def test_a_lock_that_another_run_has(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    surveys = with_old(converged(fleet), "app1", "app2")
    done = deploy(fleet, surveys, "-y", others={"@fake/app1": REFUSED})
    first, _, step = said(done)
    assert "failed on @fake/app1: another run is at work on @fake/app1: anna@laptop" in first
    assert step.endswith("if it is gone, wsdeploy.unlock")


COMMITS = {
    letter: {"id": letter * 7, "subject": f"Say {letter}", "changed": False} for letter in "ba"
}


def history(live: str, previous: str | None) -> dict[str, object]:
    """What a host answers that remembers the generations b and a, and restores anything."""
    records = [
        {
            "generation": letter * 12, "release": letter * 12, "version": letter,
            "listen": "unix:/run/ws/x", "processes": 3, "deployed": deployed, "since": deployed,
            "by": "anna@laptop", "commit": COMMITS[letter],
        }
        for letter, deployed in (("b", 2.0), ("a", 1.0))
    ]  # fmt: skip
    answer = {"live": live * 12, "previous": previous and previous * 12, "records": records}
    return {"wsdeploy-history": json.dumps(answer), "wsdeploy-restore": "{}"}


B, A = (f'release {letter * 12} "Say {letter}" ({letter * 7})' for letter in "ba")


def test_a_rollback(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers()
    others = dict.fromkeys(fleet.names[:2], history("b", "a"))
    what = ["wsdeploy.rollback"]
    done = deploy(fleet, converged(fleet), "-y", "--json", others=others, what=what)
    assert done.code == 0, done.said
    serves, before, step = said(done)
    # What is brought back has its own number of processes.
    where = "wss://ws.a-company.com/ from 2 hosts, 6 processes"
    assert serves == f"ws: {A} serves at {where}"
    assert before == f"before: {B}; it had no clients"
    assert step.startswith("next: revert bbbbbbbbbbbb in the code, too; else the next deploy")
    host = json.loads(done.out)["wsdeploy"]["run"]["hosts"]["@fake/app1"]
    assert (host["before"]["commit"], host["now"]["commit"]) == (COMMITS["b"], COMMITS["a"])


def test_a_rollback_that_fails(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers()
    others = dict.fromkeys(fleet.names[:2], history("b", "a"))
    others["@fake/app1"] = others["@fake/app1"] | failing("app1", "restore", "no")["@fake/app1"]
    what = ["wsdeploy.rollback"]
    first, serves, _ = said(deploy(fleet, converged(fleet), "-y", others=others, what=what))
    assert first == "ws: failed on @fake/app1: no"
    assert serves.startswith(f"{B} goes on serving at wss://ws.a-company.com/")


def test_a_rollback_that_is_refused_the_lock(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    others = dict.fromkeys(fleet.names[:2], history("b", "a"))
    others["@fake/app1"] = others["@fake/app1"] | REFUSED
    what = ["wsdeploy.rollback"]
    _, serves, _ = said(deploy(fleet, converged(fleet), "-y", others=others, what=what))
    assert serves == "what served at wss://ws.a-company.com/ goes on as it was"


def test_a_restart(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers()
    done = deploy(fleet, converged(fleet), "-y", "--json", what=["wsdeploy.restart"])
    serves, anew = said(done)
    assert re.match(r"ws: release \w{12} serves at wss://ws.a-company.com/ from 2 hosts", serves)
    assert anew == "its processes were started anew; it had no clients"
    assert "before" not in json.loads(done.out)["wsdeploy"]["run"]["hosts"]["@fake/app1"]


def test_a_restart_that_fails(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers()
    what = ["wsdeploy.restart"]
    others = failing("app1", "restore", "no")
    _, serves, _ = said(deploy(fleet, converged(fleet), "-y", others=others, what=what))
    at = "wss://ws.a-company.com/"
    assert serves == f"what serves at {at} is not known here; wsdeploy.releases shows it"


def test_a_host_that_does_not_answer_the_survey(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    surveys = with_old(converged(fleet), "app1", "app2")
    done = deploy(fleet, surveys, "-y", others=failing("app2", "survey", "no"))
    assert done.code == 1
    assert "nothing serves" not in done.err
    assert "serves nothing" not in done.err


def test_a_group_of_somebody_elses_that_comes_first(
    deploy: Deploy, tiers: MakeFleet, converged: Converged
) -> None:
    fleet = tiers()
    groups = f'databases = [("@fake/db1", {{}})]\n{TIERS}'
    mixed = Fleet(fleet.source, fleet.names, groups)
    done = deploy(mixed, with_old(converged(fleet), "app1", "app2"), "-y", "--json")
    assert said(done)[0].startswith("ws: release ")
    assert json.loads(done.out)["wsdeploy"]["run"]["service"] == "ws"


def test_an_address_that_holds_a_token(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone(app='probe=Probe(path="/chat?token=secret")')
    done = deploy(fleet, converged(fleet), "-y", "--json")
    assert "serves at wss://ws.a-company.com/chat from" in done.err
    assert "secret" not in done.said


def test_the_first_run(deploy: Deploy, alone: MakeFleet, bare: Converged) -> None:
    fleet = alone()
    _, before, step, client = said(deploy(fleet, bare(fleet), "-y"))
    assert before == "before: nothing; it is the first release there"
    assert "wsdeploy.certificates" in step
    assert client.startswith("SSL_CERT_FILE=certificates/")


def test_what_is_only_planned_or_asked_sums_nothing_up(
    deploy: Deploy, alone: MakeFleet, converged: Converged
) -> None:
    fleet = alone()
    for options, what in (("--dry",), "deploy.py"), (("-y",), "wsdeploy.releases"):
        done = deploy(fleet, converged(fleet), *options, what=[what])
        assert done.code == 0, done.said
        assert "ws: " not in done.err


def test_releases_as_json(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers()
    record = {
        **OLD, "version": "v", "listen": "unix:/run/ws/x", "processes": 4, "deployed": 1.0,
        "since": 2.0, "by": "anna@laptop",
        "commit": {"id": "77ab210", "subject": "Fix typo", "changed": False},
    }  # fmt: skip
    history = {"live": OLD["generation"], "previous": None, "records": [record]}
    others = {name: {"wsdeploy-history": json.dumps(history)} for name in fleet.names[:2]}
    what = ["wsdeploy.releases"]
    done = deploy(fleet, converged(fleet), "-y", "--json", others=others, what=what)
    assert json.loads(done.out)["wsdeploy"] == {
        "releases": {"@fake/app1": history, "@fake/app2": history}
    }
    assert "live  77ab210 Fix typo" in done.err


HANGING = """
import gevent as _gevent

_answer = _Fake.run_shell_command


def _hanging(self, command, *rest, **more):
    if "wsdeploy-retire" in str(command):
        print("it hangs", flush=True)
        _gevent.sleep(600)
    return _answer(self, command, *rest, **more)


_Fake.run_shell_command = _hanging
"""


def test_ctrl_c_while_a_host_is_at_work(
    deploy: Deploy, alone: MakeFleet, converged: Converged, folder: Path
) -> None:
    fleet = alone()
    surveys = with_old(converged(fleet), "one")
    surveys["@fake/one"]["processes"].append(
        {"group": f"ws-{'0' * 12}", "name": "ws_00", "statename": "RUNNING", "pid": 1, "start": 1}
    )
    # It is written by the way.
    assert deploy(fleet, surveys, what=["--version"]).code == 0
    with open(folder / "inventory.py", "a") as inventory:
        inventory.write(HANGING)
    run = subprocess.Popen(
        (sys.executable, "-m", "pyinfra", "-y", folder / "inventory.py", "deploy.py"),
        cwd=REPOSITORY,
        env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")} | pyinfra_server.AT_IMPORT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout
    assert run.stdout.readline() == "it hangs\n"
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 130
    first, at_work, before, step = err.rpartition("\n\n")[2].splitlines()
    assert first.startswith("ws: interrupted; release ")
    assert at_work == "@fake/one goes on by itself: App | Old processes is not done yet"
    assert before.startswith("before: release 111111111111 ")
    assert step.endswith(" deploy.py does what is left to do")
