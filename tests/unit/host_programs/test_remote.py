"""Programs as they reach a host: a shell command, and all else on standard input."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from wsdeploy.cluster import startup
from wsdeploy.plan.host import remote
from wsdeploy.plan.host.survey import Request, Survey

PROGRAMS = [
    "certificates.acme_account",
    "certificates.host_keypairs",
    "certificates.order_now",
    "certificates.self_signed",
    "common.lock",
    "config.apply_files",
    "config.remove",
    "config.seal",
    "config.try_firewall",
    "logs.logs",
    "rollout.history",
    "rollout.install_release",
    "rollout.probe",
    "rollout.release_command",
    "rollout.restore",
    "rollout.retire",
    "rollout.rollout",
    "status.status",
    "survey.capacity",
    "survey.survey",
]
SUDO = """#!/bin/sh
test "$1" = -n || exit 1
shift
echo "$1" >>{log}
exec "$@"
"""

# Imports each program anew, from a folder of its own.
ALONE = """
import importlib, os, sys
for program in sys.argv[1:]:
    for name in [each for each in sys.modules if each.partition(".")[0] == "wshost"]:
        del sys.modules[name]
    sys.path[0] = os.path.abspath(program)
    importlib.invalidate_caches()
    assert importlib.import_module(f"wshost.{program}").__file__.startswith(sys.path[0])
"""


RunShell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(tmp_path: Path) -> RunShell:
    """Run a command as an SSH server would, far away from this project's folder.

    sudo only takes note of what it is asked for, so that this needs no rights.
    """
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sudo").write_text(SUDO.format(log=tmp_path / "sudo.log"))
    (programs / "id").write_text("#!/bin/sh\necho $PRETENDED\n")
    for stub in programs.iterdir():
        stub.chmod(0o755)
    found = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(
        command: str, payload: Iterable[object], path: str = found, user: int = 0
    ) -> subprocess.CompletedProcess[str]:
        command = command.replace(remote.FOLDER, str(tmp_path / "run"))
        # As pyinfra does: each item of standard input is a line.
        standard_input = "".join(f"{line}\n" for line in payload)
        return subprocess.run(
            ["/bin/sh", "-c", command],
            input=standard_input,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={"PATH": path, "PRETENDED": str(user)},
        )

    return run


def test_a_programs_answer(shell: RunShell, tmp_path: Path) -> None:
    request = Request(paths=(str(tmp_path), "/no/such/path"), users=("root",))
    payload = remote.payload("survey.survey", request.to_json())
    done = shell(remote.command("survey.survey"), payload)
    assert done.returncode == 0, done.stderr
    survey = Survey.from_json(json.loads(done.stdout))
    assert survey.users == ("root",)
    assert list(survey.paths) == [str(tmp_path)]
    assert survey.paths[str(tmp_path)].kind == "directory"


def test_a_program_tells_its_progress_if_somebody_wants_to_know(
    shell: RunShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    shutil.copytree(remote.PROGRAMS, programs / "wshost")
    teller = "from wshost.common import progress\n\n\ndef main(request):\n    progress.tell({})\n"
    (programs / "wshost" / "teller.py").write_text(teller)
    monkeypatch.setattr(remote, "PROGRAMS", programs / "wshost")
    for cached in (remote._sources, remote.digest, remote._bundle):
        monkeypatch.setattr(remote, cached.__name__, cached.__wrapped__)
    for mark, told in (("mark-1", "mark-1 {}\n"), (None, "")):
        payload = remote.payload("teller", {}, progress=mark)
        assert shell(remote.command("teller"), payload).stderr == told


def test_a_host_with_python_answers_in_full(shell: RunShell) -> None:
    payload = remote.payload("survey.survey", Request().to_json())
    done = shell(remote.command_on_bare_host("survey.survey"), payload)
    assert done.returncode == 0, done.stderr
    assert Survey.from_json(json.loads(done.stdout)).bare is False


def test_a_host_without_python_says_what_it_is(shell: RunShell, tmp_path: Path) -> None:
    payload = remote.payload("survey.survey", Request().to_json())
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "id").symlink_to(tmp_path / "bin" / "id")
    done = shell(remote.command_on_bare_host("survey.survey"), payload, path=str(empty))
    assert done.returncode == 0, done.stderr
    survey = Survey.from_json(json.loads(done.stdout))
    assert survey.bare is True
    assert set(survey.system) == {"id", "version"}


def test_an_attachment(shell: RunShell, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("app/app.py")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"pass"))
    request = {"releases": str(tmp_path), "id": "one"}
    payload = remote.payload("rollout.install_release", request, packed.getvalue())
    done = shell(remote.command("rollout.install_release"), payload)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one/app/app.py").read_text() == "pass"


def test_a_program_that_fails_fails_the_command_with_one_line(shell: RunShell) -> None:
    request = {
        "target": {
            "host": "a-company.com",
            "path": "/",
            "address": ["localhost", 1],
            "tls": True,
            "authority": None,
            "origin": None,
        },
        "timeout": 5,
        "send": None,
        "expect": None,
    }
    done = shell(remote.command("rollout.probe"), remote.payload("rollout.probe", request))
    assert done.returncode == 1
    assert done.stderr.startswith("wss://a-company.com/: ")
    assert len(done.stderr.splitlines()) == 1


def test_every_program_loads_with_nothing_but_what_it_is_made_of(
    shell: RunShell, tmp_path: Path
) -> None:
    shell(remote.command("survey.survey"), remote.payload("survey.survey", Request().to_json()))
    (sent,) = (tmp_path / "run").iterdir()
    for program in PROGRAMS:
        for path in remote.closure(program):
            copy = tmp_path / "alone" / program / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text((sent / path).read_text())
    subprocess.run([sys.executable, "-c", ALONE, *PROGRAMS], cwd=tmp_path / "alone", check=True)


def test_a_host_is_sent_programs_once(shell: RunShell, tmp_path: Path) -> None:
    asked = Request().to_json()
    done = shell(
        remote.command("survey.survey"),
        remote.payload("survey.survey", asked, bundle=False, again=True),
    )
    assert json.loads(done.stdout) == remote.MISSING
    assert not (tmp_path / "run").exists()
    done = shell(remote.command("survey.survey"), remote.payload("survey.survey", asked))
    assert "paths" in json.loads(done.stdout)
    again = remote.payload("survey.survey", asked, bundle=False, again=True)
    assert len(again[0]) < 1000
    assert "paths" in json.loads(shell(remote.command("survey.survey"), again).stdout)
    (sent,) = (tmp_path / "run").iterdir()
    assert sent.name == remote.digest()
    # Nobody but root may read it, or put something else there.
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert sent.stat().st_mode & 0o777 == 0o700


def test_versions_that_nobody_needs_any_more_go(shell: RunShell, tmp_path: Path) -> None:
    def age(name: str, days: float) -> None:
        then = time.time() - days * 86400
        os.utime(tmp_path / "run" / name, (then, then))

    for name, days in (("old", 2), ("recent", 0.5)):
        (tmp_path / "run" / name / "wshost").mkdir(parents=True)
        age(name, days)
    payload = remote.payload("survey.survey", Request().to_json())
    shell(remote.command("survey.survey"), payload)
    found = {path.name for path in (tmp_path / "run").iterdir()}
    assert found == {"recent", remote.digest()}
    # It counts from the last use.
    age(remote.digest(), 2)
    shell(remote.command("survey.survey"), payload)
    assert (tmp_path / "run" / remote.digest()).stat().st_mtime > time.time() - 86400


def test_a_version_that_is_half_there_is_sent_again(shell: RunShell, tmp_path: Path) -> None:
    half = tmp_path / "run" / remote.digest() / "wshost"
    half.mkdir(parents=True)
    (half / "requests.py").touch()
    asked = Request().to_json()
    again = remote.payload("survey.survey", asked, bundle=False, again=True)
    assert json.loads(shell(remote.command("survey.survey"), again).stdout) == remote.MISSING
    done = shell(remote.command("survey.survey"), remote.payload("survey.survey", asked))
    assert "paths" in json.loads(done.stdout), done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == [remote.digest()]


def test_no_room_for_them_is_a_line(shell: RunShell, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    done = shell(remote.command("survey.survey"), remote.payload("survey.survey", {}))
    assert done.returncode == 1
    assert done.stderr == f"File exists: {tmp_path / 'run'}\n"


def test_a_host_that_has_lost_them_in_the_middle_of_a_run_says_so(shell: RunShell) -> None:
    done = shell(remote.command("survey.survey"), remote.payload("survey.survey", {}, bundle=False))
    assert done.returncode == 1
    assert done.stderr.startswith("this host has lost the programs of this run")


def test_every_program_of_the_hosts_is_tested_here() -> None:
    assert {
        ".".join(path.relative_to(remote.PROGRAMS).with_suffix("").parts)
        for path in remote.PROGRAMS.rglob("*.py")
        if "def main(request" in path.read_text()
    } == {*PROGRAMS, startup.PROGRAM}  # which images of pods have


def test_the_shell_leaves_the_command_alone(shell: RunShell, tmp_path: Path) -> None:
    show = f"set -- {remote.command('survey')}; printf '%s\\0' \"$@\""
    for user, before in ((0, []), (1000, ["sudo", "-n"])):
        words = shell(show, [], user=user).stdout.split("\0")
        assert words == [
            *before,
            "python3",
            "-I",
            "-S",
            "-c",
            remote.LOADER.replace(remote.FOLDER, str(tmp_path / "run")),
            "wsdeploy-survey",  # this shows in process lists
            "",
        ]


def test_who_is_not_root_uses_sudo(shell: RunShell, tmp_path: Path) -> None:
    payload = remote.payload("survey.survey", Request().to_json())
    for user in (0, 1000):
        assert not (tmp_path / "sudo.log").exists()
        done = shell(remote.command_on_bare_host("survey.survey"), payload, user=user)
        assert json.loads(done.stdout), done.stderr
    assert (tmp_path / "sudo.log").read_text() == "true\npython3\n"


def test_who_can_not_become_root_is_named_before_sudo_asks(shell: RunShell, tmp_path: Path) -> None:
    (tmp_path / "bin" / "sudo").write_text(
        "#!/bin/sh\necho sudo: a password is required >&2; exit 1"
    )
    payload = remote.payload("survey.survey", Request().to_json())
    done = shell(remote.command_on_bare_host("survey.survey"), payload, user=1000)
    assert done.returncode == 1
    assert done.stderr.startswith("1000 can not become root: give that user sudo without")
    assert "a password is required" not in done.stderr


def test_a_strict_umask_changes_nothing(shell: RunShell, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "release.tar.gz", mode="w:gz") as tar:
        member = tarfile.TarInfo("app/deep/app.py")
        member.mode = 0o644
        tar.addfile(member, io.BytesIO())
    request = {"releases": str(tmp_path), "id": "one"}
    archive = (tmp_path / "release.tar.gz").read_bytes()
    payload = remote.payload("rollout.install_release", request, archive)
    done = shell(f"umask 077; {remote.command('install_release')}", payload)
    assert done.returncode == 0, done.stderr
    for path in [tmp_path / "one", *(tmp_path / "one").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_secrets_do_not_show() -> None:
    payload = remote.payload("config.apply_files", {"content": "s3cret"}, b"s3cret too")
    shown = f"{payload!r} {payload} {[payload]} {remote.command('apply_files')}"
    assert "s3cret" not in shown
    assert base64.b64encode(b"s3cret too").decode() not in shown
    assert "apply_files" in repr(payload), "it says whose it is"
    assert "s3cret" in payload[0], "it is there, though"


def test_requests_keep_any_text(shell: RunShell, tmp_path: Path) -> None:
    text = "ü \u2028 \n \0 ' \" $x `id` \\ \U0001f600"
    payload = remote.payload("echo", {"text": text}, bundle=False)
    assert "\n" not in payload[0], "a request is one line"
    module = tmp_path / "run" / remote.digest() / "wshost" / "echo.py"
    module.parent.mkdir(parents=True)
    (module.parent / "__init__.py").touch()
    module.write_text("import json\ndef main(request): print(json.dumps(request))")
    done = shell(remote.command("echo"), payload)
    assert json.loads(done.stdout) == {"text": text}
