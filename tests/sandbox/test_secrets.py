"""A secret is in its file, in the record of its generation and in the app's environment.

The tests look for the values themselves, and for the ways in which they travel: in command lines
of all processes while deployments run, in all output, in logs, and in every file of the host.
"""

import base64
import contextlib
import json
import secrets
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.site import PROJECT, Site
from wsdeploy.plan.host import paths
from wsdeploy.release import build

COMBINATIONS = [("trixie", "HAProxy")]

RECORDS = "/var/lib/wsdeploy/services/ws/generations"
"""What brings the last generations back, with their environments."""

WATCH = Path(__file__).with_name("watch.py")
TALKATIVE = ("-vvv", "--diff", "--debug")
OPTIONS = 'processes=2, drain=1, probe=Probe(send="hello", expect="hello")'


class Value:
    """A value that no other file in the world has, with what is difficult to pass on."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(24)
        self.text = f"{self.mark} 'x' \"y\" $HOME %(ENV_HOME)s %d \\ ; # é\nsecond line"

    @property
    def traces(self) -> list[str]:
        """Return texts, one of which is in whatever has the value, in base64 too."""
        found = [self.mark]
        for shift in range(3):
            encoded = base64.b64encode(b"." * shift + self.mark.encode()).decode()
            # Without the characters at both ends that depend on what is beside the mark.
            found.append(encoded[4:-4])
        return found


@pytest.fixture(scope="module")
def values() -> dict[str, Value]:
    return {name: Value() for name in ("PLAIN", "OF_ENV", "OF_FILE", "OF_COMMAND")}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the values of secrets that come from files and from a command."""
    return tmp_path_factory.mktemp("sources")


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(["secrets"], ["secrets"])


@pytest.fixture
def patient(
    site: Site, values: dict[str, Value], sources: Path, monkeypatch: pytest.MonkeyPatch
) -> Site:
    """A site whose app is described with the values as they are now."""
    monkeypatch.setenv("SECRET_OF_THE_TEST", values["OF_ENV"].text)
    for name in ("OF_FILE", "OF_COMMAND"):
        (sources / name).write_text(values[name].text)
    site.write(app=app(values, sources))
    return site


def app(
    values: dict[str, Value], sources: Path, path: str = "files/app.py", options: str = OPTIONS
) -> str:
    return (
        f"App({path!r}, {options}, env={{'PLAIN': {values['PLAIN'].text!r}}}, secrets={{"
        "'OF_ENV': FromEnv('SECRET_OF_THE_TEST'), "
        f"'OF_FILE': FromFile({str(sources / 'OF_FILE')!r}), "
        f"'OF_COMMAND': FromCommand(['cat', {str(sources / 'OF_COMMAND')!r}])}})"
    )


def traces(values: dict[str, Value]) -> list[str]:
    return [trace for value in values.values() for trace in value.traces]


def in_text(text: str, values: dict[str, Value]) -> list[str]:
    """Return the names of the values that a text has."""
    return [name for name, value in values.items() if any(t in text for t in value.traces)]


def run(site: Site, *arguments: str) -> tuple[int, str]:
    """Run pyinfra, and return its exit code and everything that it printed."""
    done = subprocess.run(
        site.command(*arguments),
        cwd=site.project,
        env=site.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout


@contextlib.contextmanager
def watched(site: Site, values: dict[str, Value]) -> Iterator[set[str]]:
    """Watch the processes of the host and of this machine while the body runs.

    Fails if one of the values showed up. Yields a set that has the host's command lines after it.
    """
    command = f"python3 -c {shlex.quote(WATCH.read_text())}"
    with (
        watcher([sys.executable, str(WATCH)], values, None) as here,
        watcher(site.ssh_command(command), values, "ws") as there,
    ):
        seen: set[str] = set()
        yield seen
    assert here["found"] == []
    assert there["found"] == []
    assert any(str(site.inventory) in command for command in here["commands"])
    seen.update(there["commands"])


@contextlib.contextmanager
def watcher(
    command: list[str], values: dict[str, Value], user: str | None
) -> Iterator[dict[str, Any]]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = {}
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"texts": traces(values), "user": user}) + "\n")
        process.stdin.flush()
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield answer
        answer.update(json.loads(process.communicate(timeout=60)[0]))
    finally:
        process.kill()
        process.wait()


def holders(site: Site, values: dict[str, Value]) -> list[str]:
    """Return all files of the host that have one of the values."""
    # What was logged is in files when this command is done.
    search = (
        "journalctl --sync; grep --recursive --text --fixed-strings --files-with-matches --file=- "
        "--no-messages --devices=skip --exclude-dir=proc --exclude-dir=sys / || true"
    )
    return site.ssh(search, text="\n".join(traces(values))).split()


def environment_file(site: Site) -> str:
    return paths.environment("ws", site.live_generation())


def others(site: Site, values: dict[str, Value]) -> set[str]:
    """Return who else has one of the values but what brings a generation back, root's alone."""
    found = set(holders(site, values)) - {environment_file(site)}
    records = {path for path in found if path.startswith(RECORDS)}
    if records:
        status = site.ssh(f"stat --format='%a %U' {' '.join(records)} {RECORDS}").split("\n")[:-1]
        assert status == ["600 root"] * len(records) + ["700 root"]
    return found - records


def test_a_dry_run_shows_none(patient: Site, values: dict[str, Value]) -> None:
    with watched(patient, values):
        code, output = run(patient, "deploy.py", "--dry", *TALKATIVE)
    assert code == 0, output
    assert "generation.conf" in output or "conf.d" in output or "Processes" in output
    assert in_text(output, values) == []
    assert holders(patient, values) == []


def test_a_deployment_shows_none(patient: Site, values: dict[str, Value]) -> None:
    with watched(patient, values) as commands:
        code, output = run(patient, "deploy.py", "-y", *TALKATIVE)
    assert code == 0, output
    assert any("wsdeploy-rollout" in command for command in commands), "nothing was watched"
    assert in_text(output, values) == []


def test_the_app_has_them(patient: Site, values: dict[str, Value]) -> None:
    """Each process, in its environment, to the letter."""
    pids = patient.ssh("pgrep --uid ws").split()
    assert len(pids) == 2
    for pid in pids:
        text = patient.ssh(f"cat /proc/{pid}/environ")
        found = dict(entry.split("=", 1) for entry in text.split("\0") if entry)
        assert {name: found.get(name) for name in values} == {
            name: value.text for name, value in values.items()
        }


def test_one_file_has_them_and_the_record_of_it(patient: Site, values: dict[str, Value]) -> None:
    assert environment_file(patient) in holders(patient, values)
    assert others(patient, values) == set()
    status = patient.ssh(f"stat --format='%a %U %G' {environment_file(patient)} /etc/ws")
    assert status.splitlines() == ["640 root ws", "750 root ws"]


def test_the_search_finds_what_is_there(patient: Site, values: dict[str, Value]) -> None:
    """In another form, and where nobody would look."""
    encoded = base64.b64encode(f"x{values['OF_FILE'].text}".encode()).decode()
    for place in ("/usr/share/doc/leak", "/tmp/leak", "/var/lib/wsdeploy/leak"):
        patient.ssh(f"cat >{place}", text=encoded)
        assert place in holders(patient, values)
        patient.ssh(f"rm {place}")
    assert in_text(encoded, values) == ["OF_FILE"]


def test_logs_have_none(patient: Site, values: dict[str, Value]) -> None:
    # The journal compresses what is long, so that grep would miss it.
    journal = patient.ssh("journalctl --all --no-pager --output=export")
    assert "sshd" in journal
    assert in_text(journal, values) == []


@pytest.mark.parametrize("options", [("debug-inventory",), ("deploy.py", "-y", *TALKATIVE)])
def test_a_run_with_nothing_to_do_shows_none(
    patient: Site, values: dict[str, Value], options: str
) -> None:
    with watched(patient, values):
        code, output = run(patient, *options)
    assert code == 0, output
    assert in_text(output, values) == []


def test_second_run_changes_nothing(patient: Site) -> None:
    patient.converged()


@pytest.mark.parametrize("name", ["PLAIN", "OF_ENV", "OF_FILE", "OF_COMMAND"])
def test_a_changed_secret_makes_a_new_generation(
    site: Site, values: dict[str, Value], sources: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before, old = site.live_generation(), values[name]
    values[name] = Value()
    monkeypatch.setenv("SECRET_OF_THE_TEST", values["OF_ENV"].text)
    for file in ("OF_FILE", "OF_COMMAND"):
        (sources / file).write_text(values[file].text)
    result = site.deploy(app=app(values, sources))
    assert result.changed == ["App | Processes", "App | Old processes"]
    assert site.live_generation() != before
    site.converged()
    assert environment_file(site) in holders(site, {name: values[name]})
    assert environment_file(site) not in holders(site, {name: old})
    assert others(site, {name: values[name]}) == set()
    assert others(site, {name: old}) == set(), "the old value is left over"


def test_a_failed_deployment_shows_none(
    patient: Site, values: dict[str, Value], sources: Path, copy: Path
) -> None:
    """Not even where what the app logged last is shown, and none is left of the failed one."""
    (copy / "files" / "app.py").write_text("raise RuntimeError('no database today')\n")
    options = f"{OPTIONS}, start_timeout=5"
    patient.write(app=app(values, sources, options=options))
    with watched(patient, values):
        code, output = run(patient, "deploy.py", "-y", *TALKATIVE)
    assert code == 1
    assert "no database today" in output
    assert in_text(output, values) == []
    assert others(patient, values) == set()


def test_this_machine_keeps_none(site: Site, values: dict[str, Value], sources: Path) -> None:
    """Beside the inventory and the files that the values come from."""
    texts = [trace.encode() for trace in traces(values)]
    folders = (build.cache(), PROJECT / "certificates", site.folder, sources)
    found = {
        file
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file() and any(text in file.read_bytes() for text in texts)
    }
    assert found == {site.inventory, sources / "OF_FILE", sources / "OF_COMMAND"}
