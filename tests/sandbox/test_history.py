"""Back to what served before, the same again, and one run at a time, with clients coming in."""

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.site import CROWD, HELD, PROJECT, RATE, WITH_CHILDREN, Site
from tests.sandbox.spread import assert_even

COMBINATIONS = [("bookworm", "Nginx"), ("trixie", "HAProxy")]


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(["history"], ["history"], edge=CROWD)


def coloured(site: Site, colour: str, drain: str = "2", more: str = "") -> str:
    """The app with another environment."""
    options = f'processes=2, drain={drain}, env={{"COLOUR": "{colour}"}}{more}'
    return f'App("files/app.py", {options}, probe=Probe(send="hello", expect="hello"))'


def colour(site: Site) -> str:
    found = site.ssh("cat /proc/$(pgrep -u ws -n python3)/environ | tr '\\0' '\\n'")
    (value,) = re.findall(r"^COLOUR=(.*)$", found, re.MULTILINE)
    return str(value)


def listing(site: Site) -> list[list[str]]:
    result = site.pyinfra("-y", "wsdeploy.releases")
    assert result.code == 0, result.output
    lines = re.sub(r"\x1b\[[0-9;]*m", "", result.output).splitlines()
    rows = [line.split()[1:] for line in lines]
    found = [row for row in rows if len(row) > 4 and re.match(r"[0-9a-f]{12}", row[0])]
    # What comes after its state is the commit.
    states = [next((it for it in row[5:6] if it in ("live", "previous")), "") for row in found]
    return [[*row[:5], state] for row, state in zip(found, states, strict=True)]


def left(site: Site) -> dict[str, list[str]]:
    """What there is of generations and releases, by place."""
    places = "/run/ws /etc/ws /etc/supervisor/conf.d /srv/ws/releases /srv/ws"
    places += " /var/lib/wsdeploy/services/ws/generations"
    return {place: site.ssh(f"ls {place}").split() for place in places.split()}


def test_deploy(site: Site) -> None:
    site.deploy(app=coloured(site, "red"))
    site.deploy(app=coloured(site, "green"))
    site.deploy(app=coloured(site, "blue", drain="10"))


def test_nothing_is_secret_to_root_alone(site: Site) -> None:
    modes = site.ssh(
        "stat -c '%a %U %G' /var/lib/wsdeploy/services/ws/generations "
        "/var/lib/wsdeploy/services/ws/generations/*.json /var/log/ws/deploys.log"
    ).splitlines()
    assert modes == ["700 root root", *["600 root root"] * 3, "640 root adm"]


def test_releases(site: Site) -> None:
    live, before, first = listing(site)
    assert live[0] == site.live_generation()
    assert [row[-1] for row in (live, before, first)] == ["live", "previous", ""]
    assert "@" in live[-2]


def assert_unnoticed(site: Site, command: str, held: int = 300, drain: int = 10) -> None:
    """Run a command under the same load as a deploy has in test_deploys.py: the same numbers."""
    with site.under_load(rate=40, held=held) as outcome:
        result = site.pyinfra("-y", command)
        assert result.code == 0, result.output
    assert outcome["failed"] == {}
    assert outcome["codes"] == {"1012": held}
    assert_even(outcome["closed_at"], drain)


def test_rollback_refuses_nobody(site: Site) -> None:
    # Who serves now drains as it was told when it was deployed.
    assert_unnoticed(site, "wsdeploy.rollback")
    assert colour(site) == "green"
    assert [row[-1] for row in listing(site)][1:] == ["live", "previous"]
    assert site.ssh("ls /run/ws | wc -l").strip() == "2", "the withdrawn generation is left over"


def test_another_rollback_goes_further_back(site: Site) -> None:
    assert site.pyinfra("-y", "wsdeploy.rollback").code == 0
    assert colour(site) == "red"
    result = site.pyinfra("-y", "wsdeploy.rollback")
    assert result.code == 1
    assert "nothing to go back to" in result.output
    assert "Traceback" not in result.output
    assert colour(site) == "red"


def test_rollback_to_a_generation_by_name(site: Site) -> None:
    newest = listing(site)[0][0]
    result = site.pyinfra("-y", "wsdeploy.rollback", f"to={newest}")
    assert result.code == 0, result.output
    assert colour(site) == "blue"
    result = site.pyinfra("-y", "wsdeploy.rollback", "to=nonsense")
    assert result.code == 1
    assert "no host has a generation or release nonsense" in result.output


def test_deploy_brings_the_newest_back(site: Site) -> None:
    # What the first two rollbacks have gone past is nothing to go back to.
    assert site.pyinfra("-y", "wsdeploy.rollback").code == 0
    assert colour(site) == "red"
    result = site.deploy()
    assert "App | Processes" in result.changed
    assert colour(site) == "blue"
    site.converged()


def test_restart_refuses_nobody(site: Site) -> None:
    before = site.live_generation()
    assert_unnoticed(site, "wsdeploy.restart")
    assert site.live_generation() == f"{before}-1"
    # It is what the settings ask for.
    site.converged()
    assert site.pyinfra("-y", "wsdeploy.restart").code == 0
    assert site.live_generation() == f"{before}-2"
    site.converged()
    assert colour(site) == "blue"


def test_a_restart_is_nothing_to_go_back_to(site: Site) -> None:
    assert site.pyinfra("-y", "wsdeploy.rollback").code == 0
    assert colour(site) == "red"
    site.deploy()


def test_rollback_to_fewer_processes(site: Site) -> None:
    blue = site.settings["app"]
    site.deploy(app=coloured(site, "many").replace("processes=2", "processes=5"))
    with site.under_load(rate=RATE, held=HELD) as outcome:
        assert site.pyinfra("-y", "wsdeploy.rollback").code == 0
        # Now the proxy knows sockets that are not there.
        site.echoes()
    assert outcome["failed"] == {}
    assert outcome["codes"] == {"1012": HELD}
    assert colour(site) == "blue"
    site.deploy(app=blue)


def test_rollback_on_tcp_refuses_nobody(site: Site) -> None:
    """Where processes listen on ports, both generations have the same ones for a while."""
    for name in ("tcp-old", "tcp-new"):
        site.deploy(app=coloured(site, name, drain="10", more=', listen="tcp"'))
    assert_unnoticed(site, "wsdeploy.rollback")
    assert colour(site) == "tcp-old"
    site.deploy(app=coloured(site, "blue"))


def test_every_change_is_in_the_log(site: Site) -> None:
    lines = [json.loads(line) for line in site.ssh("cat /var/log/ws/deploys.log").splitlines()]
    assert [line["action"] for line in lines] == [
        *["deploy"] * 3, *["rollback"] * 4, "deploy", *["restart"] * 2, "rollback", "deploy",
        "deploy", "rollback", *["deploy"] * 2, "rollback", "deploy",
    ]  # fmt: skip
    assert {line["outcome"] for line in lines} == {"done"}
    assert all("@" in line["by"] and line["seconds"] > 0 for line in lines)


def test_a_failure_is_in_the_log_too(site: Site, copy: Path) -> None:
    (copy / "files" / "app.py").write_text("raise RuntimeError('no database today')\n")
    app = site.settings["app"]
    site.write(app=app.replace("drain=2", "drain=2, start_timeout=5"))
    assert site.pyinfra().code == 1
    line = json.loads(site.ssh("tail -n 1 /var/log/ws/deploys.log"))
    assert line["outcome"].startswith("failed: ")
    site.write(app=app)


def start(site: Site, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        site.command(*arguments),
        cwd=site.project,
        env=site.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_two_deploys_at_once_one_wins(site: Site) -> None:
    before = site.live_generation()
    site.write(app=coloured(site, "white", drain="4"))
    runs = [start(site, "deploy.py", "-y") for _ in range(2)]
    outputs = [run.communicate(timeout=120)[1] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 1]
    (loser,) = [text for run, text in zip(runs, outputs, strict=True) if run.returncode]
    said = rf"another run is at work on {site.host.name}: \S+@\S+ has had the lock since"
    assert re.search(said, loser)
    assert "wsdeploy.unlock" in loser
    assert "Traceback" not in loser
    assert "Success" not in loser, "it has changed something"
    assert site.live_generation() != before
    site.converged()


def held_lock(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(site.ssh("cat /var/lib/wsdeploy/services/ws/lock.json"))
    return found


def test_a_run_that_is_killed_leaves_a_lock_that_the_next_takes_over(site: Site) -> None:
    site.write(app=coloured(site, "grey"))
    run = start(site, "deploy.py", "-y")
    assert run.stderr is not None
    for line in run.stderr:
        if "Starting operation" in line and "Processes" in line:
            break
    run.kill()
    run.communicate()
    assert held_lock(site)["until"] is None
    result = site.pyinfra()
    assert result.code == 0, result.output
    assert "it is gone" in result.output
    assert held_lock(site)["until"] is not None
    assert colour(site) == "grey"
    site.converged()


def test_a_lock_of_another_machine_is_broken_by_hand(site: Site) -> None:
    path = "/var/lib/wsdeploy/services/ws/lock.json"
    lock = held_lock(site) | {"until": None, "owner": "anna@laptop", "id": "hers"}
    lock["process"]["where"] = "another boot"
    site.ssh(f"cat >{path} <<'EOF'\n{json.dumps(lock)}\nEOF")
    site.write(app=coloured(site, "pink"))
    for arguments in (), ("-y", "wsdeploy.rollback"):
        result = site.pyinfra(*arguments)
        assert result.code == 1
        assert "anna@laptop has had the lock since" in result.output
    assert colour(site) == "grey"
    assert "the lock is free now; anna@laptop" in site.pyinfra("-y", "wsdeploy.unlock").output
    assert "nobody has the lock" in site.pyinfra("-y", "wsdeploy.unlock").output
    site.deploy()
    assert colour(site) == "pink"


def test_a_run_whose_lock_was_broken_changes_nothing_more(site: Site, copy: Path) -> None:
    code = copy / "files" / "app.py"
    # Slow enough to be interrupted.
    code.write_text(f"import time\n\ntime.sleep(5)\n{code.read_text()}")
    before = site.live_generation()
    run = start(site, "deploy.py", "-y")
    while held_lock(site)["until"] is not None:
        assert run.poll() is None, "it has ended without a change"
    assert site.pyinfra("-y", "wsdeploy.unlock").code == 0
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "the lock of this run was taken away" in said
    assert before in site.ssh("ls /run/ws"), "it was retired all the same"
    site.project = PROJECT
    site.deploy()
    site.converged()


@contextlib.contextmanager
def full_disk(site: Site, path: str) -> Iterator[None]:
    """Let a folder be on a disk of its own that has no room left."""
    site.ssh(
        f"cp -a {path} /root/kept && kib=$(du --summarize --block-size=1K {path} | cut -f1) "
        f"&& mount -t tmpfs -o size=$((kib + 2048))k,mode=755 tmpfs {path} "
        f"&& chmod --reference=/root/kept {path} && chown --reference=/root/kept {path} "
        f"&& cp -a /root/kept/. {path}/ && ! cat /dev/zero >{path}/filler 2>/dev/null"
    )
    try:
        yield
    finally:
        site.ssh(f"umount {path}; rm -r /root/kept")


@pytest.mark.usefixtures("once")
def test_a_full_disk_is_named_and_stays_as_it_is(site: Site, copy: Path) -> None:
    before, releases = site.live_generation(), "/srv/ws/releases"
    code = copy / "files" / "app.py"
    code.write_text(f"{code.read_text()}\n# {os.urandom(8).hex()}\n")
    with full_disk(site, releases):
        result = site.pyinfra()
        assert result.code == 1
        said = r"release \S+ needs [\d.]+ MB in (\S+), and there are 0.0 MB; make room there"
        found = re.search(said, " ".join(result.output.split()))
        assert found, result.output
        assert found[1] == releases
        assert "Traceback" not in result.output
        assert ".new-" not in site.ssh(f"ls -A {releases}")
    assert site.live_generation() == before
    site.project = PROJECT


def test_commands_of_a_release(site: Site) -> None:
    """Before it serves, and after: once, as the app would, and seen by whoever deploys."""
    before = "whoami && pwd && test ! -w . && echo before-$COLOUR >>$HOME/commands"
    after = "echo after-$COLOUR >>$HOME/commands"
    commands = f', before_release=["sh", "-c", "{before}"], after_release=["sh", "-c", "{after}"]'
    result = site.deploy(app=coloured(site, "tables", more=commands))
    release = site.ssh("readlink -f /srv/ws/current").strip()
    for said in ("ws", f"{release}/app"):
        assert f"[{site.host.name}] {said}\n" in result.output
    ran = ["before-tables", "after-tables"]
    assert site.ssh("cat /var/lib/ws/commands").split() == ran
    site.converged()
    # The same code and environment, though other processes.
    site.deploy(app=coloured(site, "tables", drain="1", more=commands))
    assert site.ssh("cat /var/lib/ws/commands").split() == ran


def test_a_command_that_fails_changes_nothing(site: Site) -> None:
    serves, there = site.live_generation(), left(site)
    fails = ', before_release=["sh", "-c", "echo no such table && exit 3"]'
    site.write(app=coloured(site, "refused", more=fails))
    with site.with_clients_that_stay(rate=0, held=20) as outcome:
        result = site.pyinfra()
    assert result.code == 1
    assert "before_release ended with exit status 3" in result.output
    assert "no such table" in result.output
    assert "goes on serving" in result.output
    assert "no client was closed" in result.output
    assert outcome["closed"] == []
    assert site.live_generation() == serves
    assert {**left(site), "/srv/ws/releases": []} == {**there, "/srv/ws/releases": []}
    assert '"action": "before_release"' in site.ssh("tail -n 1 /var/log/ws/deploys.log")
    # After the release, it serves, and the next run tries again.
    late = ', after_release=["sh", "-c", "exec test -e $HOME/allowed"]'
    site.write(app=coloured(site, "late", more=late))
    result = site.pyinfra()
    assert result.code == 1
    assert "after_release ended with exit status 1" in result.output
    assert colour(site) == "late"
    site.ssh("touch /var/lib/ws/allowed")
    assert site.pyinfra().code == 0
    site.converged()


@pytest.mark.usefixtures("once")
def test_no_room_for_what_is_known_of_a_service(site: Site) -> None:
    before, state = site.live_generation(), "/var/lib/wsdeploy"
    with full_disk(site, state):
        site.write(app=coloured(site, "full"))
        result = site.pyinfra()
        assert result.code == 1
        assert "No space left on device" in result.output
        assert "Traceback" not in result.output
    assert site.live_generation() == before
    site.deploy(app=coloured(site, "free"))
    site.converged()


PSS = "cat $(pgrep -u ws | sed 's:.*:/proc/&/smaps_rollup:')"
"""Prints the memory of all that runs as the app's user, what is shared in parts."""


def size(site: Site) -> dict[str, int]:
    """What could grow from deploy to deploy, on the host."""
    count = "find /run/ws /etc/ws /etc/supervisor /srv/ws /var/lib/wsdeploy -not -path '*/lib/*'"
    pid = site.ssh("systemctl show --property MainPID --value supervisor").strip()
    return {
        "files": int(site.ssh(f"{count} | wc -l")),
        "logs": int(site.ssh("ls /var/log/ws | wc -l")),
        "listeners": int(site.ssh("ss --no-header --listening --unix --tcp | wc -l")),
        "groups": int(site.ssh("supervisorctl status | cut -d: -f1 | sort -u | wc -l")),
        "supervisord's files": int(site.ssh(f"ls /proc/{pid}/fd | wc -l")),
        "supervisord's KiB": int(site.ssh(f"awk '/VmRSS/ {{print $2}}' /proc/{pid}/status")),
        "proxy's processes": int(site.ssh("pgrep -c 'nginx|haproxy'")),
        "app's processes": int(site.ssh("pgrep -c -u ws")),
        "app's KiB": int(site.ssh(f"{PSS} | awk '/^Pss:/ {{n += $2}} END {{print n}}'")),
    }


@pytest.mark.usefixtures("once")
def test_many_deploys_leave_nothing_behind(request: pytest.FixtureRequest, site: Site) -> None:
    """Fifty with --matrix; without, a few more than are kept in the history twice over."""
    deploys = 50 if request.config.getoption("--matrix") else 12
    lock = str(PROJECT / "files" / "requirements.txt")
    numbers, start = [], time.monotonic()
    for number in range(deploys):
        site.deploy(
            app=coloured(site, f"no-{number}", "0", f", requirements={lock!r}").replace(
                "files/app.py", str(WITH_CHILDREN)
            )
        )
        if number in (0, 9, deploys - 1):
            numbers.append(size(site))
    print(f"{deploys} deploys: {time.monotonic() - start:.0f} s; {numbers}")
    after_1, after_10, in_the_end = numbers
    # Each of its processes has children, one of which does not end by itself.
    assert after_10["app's processes"] == after_1["app's processes"] >= 2 * 4
    for memory, more in (("supervisord's KiB", 1024), ("app's KiB", 10_240)):
        assert after_10[memory] < after_1[memory] + more
        assert in_the_end.pop(memory) < after_10.pop(memory) + more
    # Logs stay for two weeks, however many deploys there are.
    assert in_the_end.pop("logs") - after_10.pop("logs") == deploys - 10
    assert in_the_end == after_10
    site.converged()
