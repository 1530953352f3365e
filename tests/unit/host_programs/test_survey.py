"""The survey on the machine that runs the tests: it answers, with the right types, and in JSON."""

import contextlib
import glob
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from wsdeploy.plan.host.survey import PathState as Found
from wsdeploy.plan.host.survey import Request, Survey
from wshost.certificates import self_signed
from wshost.common import proc, supervisor
from wshost.requests import Handshake, SelfSigned, SurveyAnswer, Target
from wshost.survey import certificates, survey

NOBODY = "no-such-name-here"


@pytest.fixture(autouse=True)
def no_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for Supervisor where there is none, whatever this machine runs."""
    monkeypatch.setattr(supervisor.processes, "__defaults__", (str(tmp_path / "none.sock"),))


def ask(**wanted: Any) -> Survey:
    answer = survey.survey(Request(**wanted).to_json())
    return Survey.from_json(json.loads(json.dumps(answer)))


def test_an_empty_request_is_answered_with_the_right_types() -> None:
    found = ask()
    assert found.bare is False
    strings = ("id", "version", "architecture", "python", "cloud_init", "boot")
    assert set(found.system) >= set(strings)
    assert all(isinstance(found.system[name], str) for name in strings)
    assert found.system["cloud_init"] in ("absent", "running", "done")
    assert all(isinstance(value, int) and value > 0 for value in found.limits.values())
    assert set(found.limits) >= {"open_files", "processors", "memory"}
    for each in (found.packages, found.units, found.sysctl, found.paths, found.certificates):
        assert each == {}
    assert found.users == found.groups == ()
    assert found.processes is None


def test_python_is_the_one_that_answers() -> None:
    assert ask().python == "{}.{}".format(*sys.version_info)


def test_what_is_missing_is_left_out(tmp_path: Path) -> None:
    found = ask(
        packages=(NOBODY,),
        users=("root", NOBODY),
        groups=("root", NOBODY),
        units=(f"{NOBODY}.service",),
        sysctl=("net.core.somaxconn", f"net.{NOBODY}"),
        paths=(str(tmp_path), f"/{NOBODY}", f"/{NOBODY}/*"),
        certificates=(f"/{NOBODY}.pem",),
    )
    assert found.packages == {}
    assert found.users == found.groups == ("root",)
    assert found.units == {}
    # None where it is there but can't be set, as in most containers, or by who is not root.
    somaxconn = "/proc/sys/net/core/somaxconn"
    assert found.sysctl["net.core.somaxconn"] == (
        survey.read(somaxconn) if os.access(somaxconn, os.W_OK) else None
    )
    assert found.sysctl[f"net.{NOBODY}"] is None
    assert set(found.paths) == {str(tmp_path)}
    assert found.certificates == {f"/{NOBODY}.pem": None}


@pytest.fixture
def dpkg(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Answer as dpkg-query does: status, package and version of each."""

    def listing(text: str) -> None:
        monkeypatch.setattr(survey, "run", lambda *_: text)

    return listing


def test_packages_in_every_state(dpkg: Callable[[str], None]) -> None:
    dpkg(
        "ii  nginx 1.22.1-9+deb12u10\n"
        "un  apache2 \n"
        "rc  haproxy 2.6.12-1\n"
        "iU  openssl 3.0.22-1~deb12u2\n"
        "iF  logrotate 3.21.0-1\n"
    )
    assert survey.packages(["nginx"]) == {"nginx": "1.22.1-9+deb12u10"}


def test_a_package_on_hold_is_installed(dpkg: Callable[[str], None]) -> None:
    dpkg("hi  nginx 1.22.1-9+deb12u10\n")
    assert survey.packages(["nginx"]) == {"nginx": "1.22.1-9+deb12u10"}


def test_units(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "Id=nginx.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
        "NeedDaemonReload=no\nMainPID=7\n\n"
        f"Id={NOBODY}.service\nLoadState=not-found\nActiveState=inactive\n"
    )
    monkeypatch.setattr(survey, "run", lambda *_: text)
    found = survey.units(["nginx.service", f"{NOBODY}.service"])
    assert set(found) == {"nginx.service"}
    assert Survey(units=found).running("nginx.service")
    assert not Survey(units=found).running(f"{NOBODY}.service")


def test_a_unit_that_is_not_quite_running() -> None:
    good = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}
    assert Survey(units={"a.service": good}).running("a.service")
    for change in (
        {"ActiveState": "failed"},
        {"UnitFileState": "disabled"},
        {"NeedDaemonReload": "yes"},
    ):
        assert not Survey(units={"a.service": good | change}).running("a.service")


def test_paths_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o750)
    (tmp_path / "file").write_bytes(b"\0content")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = ask(paths=(f"{tmp_path}/*",)).paths
    kinds = {path.rpartition("/")[2]: entry.kind for path, entry in found.items()}
    assert kinds == {
        "folder": "directory",
        "file": "file",
        "link": "link",
        "broken": "link",
        "pipe": "other",
    }
    file = found[f"{tmp_path}/file"]
    assert file == Found(
        "file", 0o640, file.owner, file.group, sha256=hashlib.sha256(b"\0content").hexdigest()
    )
    assert found[f"{tmp_path}/link"].target == "file"
    assert found[f"{tmp_path}/folder"].mode == 0o750


def test_what_goes_while_it_is_looked_at_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a program that a killed run has left at work tidies up."""
    (tmp_path / "stays").touch()
    gone = str(tmp_path / "gone")
    monkeypatch.setattr(glob, "glob", lambda *_, **__: [gone, str(tmp_path / "stays")])
    assert list(survey.paths(["*"])) == [str(tmp_path / "stays")]


def test_a_broken_link_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to("gone")
    assert ask(paths=(f"{tmp_path}/current",)).paths[f"{tmp_path}/current"].target == "gone"


def test_owners_without_a_name_are_numbers(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", 54_321, 54_322)
    found = ask(paths=(f"{tmp_path}/file",)).paths[f"{tmp_path}/file"]
    assert (found.owner, found.group) == ("54321", "54322")


def certified(folder: Path, name: str = "a.com") -> Path:
    """A certificate in a folder, and its key."""
    pem = folder / f"{name}.pem"
    request: SelfSigned = {
        "name": name,
        "alternative_names": f"DNS:{name},IP:::1",
        "days": 2,
        "certificate": str(pem),
        "key": str(folder / "key.pem"),
        "activate": [],
    }
    self_signed.make(request, pem, folder / "key.pem")
    return pem


def test_certificates(tmp_path: Path) -> None:
    pem = certified(tmp_path)
    found = ask(certificates=(str(pem),)).certificates[str(pem)]
    assert found is not None
    assert found["names"] == "DNS:a.com, IP Address:0:0:0:0:0:0:0:1"
    assert found["issuer"] == "itself"
    assert set(found) == {"issuer", "names", "not_after", "pem"}
    assert found["pem"] == pem.read_text()
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "key.pem").read_text() + pem.read_text())
    assert ask(certificates=(str(both),)).certificates[str(both)] == found, "keys stay there"


def test_openssl_is_started_once_for_a_certificate(
    tmp_path: Path, known_certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, other = certified(tmp_path), certified(tmp_path, "b.com")
    found = certificates.read(str(pem))
    with monkeypatch.context() as without:
        without.setenv("PATH", "")
        assert certificates.read(str(pem)) == found is not None
        pem.write_bytes(other.read_bytes())
        assert certificates.read(str(pem)) is None, "another one at the same path"
    renewed = certificates.read(str(pem))
    assert renewed is not None
    assert renewed["names"].startswith("DNS:b.com")
    assert len([*known_certificates.iterdir()]) == 2
    assert known_certificates.stat().st_mode & 0o077 == 0
    for path in known_certificates.iterdir():
        path.write_text("{")
    assert certificates.read(str(pem)) == renewed, "what is kept is damaged"


@pytest.mark.parametrize("text", ["hello", "nonsense"])
def test_a_client_comes_if_one_is_asked_for(tmp_path: Path, text: str) -> None:
    def handler(connection: ServerConnection) -> None:
        connection.send("hello")
        with contextlib.suppress(ConnectionClosed):
            connection.recv()

    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        target: Target = {
            "host": "a.com",
            "path": "/",
            "address": [*server.socket.getsockname()],
            "tls": False,
            "authority": None,
            "origin": None,
        }
        handshake: Handshake = {"target": target, "timeout": 5, "send": None, "expect": text}
        found = survey.survey({**Request().to_json(), "handshake": handshake})
        server.shutdown()
        thread.join()
    assert found["served"] is (text == "hello")
    assert Survey.from_json(found).served is (text == "hello")


def test_nobody_comes_to_a_host_that_is_not_to_be_verified() -> None:
    assert "served" not in survey.survey(Request().to_json())


def test_texts(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("one\ntwo\n")
    paths = (f"{tmp_path}/list", f"{tmp_path}/missing")
    assert ask(texts=paths).texts == {f"{tmp_path}/list": "one\ntwo"}


def test_what_is_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nonsense")
    assert ask(certificates=(f"{tmp_path}/cert.pem",)).certificates == {
        f"{tmp_path}/cert.pem": None
    }


def test_questions_do_not_wait_for_each_other() -> None:
    both = threading.Barrier(2, timeout=5)

    def question(name: str) -> SurveyAnswer:
        both.wait()
        return {"units": {name: {}}}

    asked = [lambda: question("one"), lambda: question("two")]
    assert survey.at_once(asked) == [{"units": {"one": {}}}, {"units": {"two": {}}}]


def test_a_question_that_fails_fails_the_survey() -> None:
    def question() -> SurveyAnswer:
        raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"):
        survey.at_once([SurveyAnswer, question])


def test_a_missing_program_is_no_answer() -> None:
    assert survey.run(NOBODY) == ""


def test_it_agrees_with_the_system() -> None:
    uname = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True)
    assert ask().system["architecture"] == uname.stdout.strip()


def test_a_package_that_is_newer_than_its_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(survey, "DPKG", str(tmp_path))
    listed = tmp_path / "supervisor.list"
    listed.touch()
    now = time.time()
    for age, newer in ((-5, True), (1_000_000, False)):
        os.utime(listed, (now - age, now - age))
        assert survey.upgraded("supervisor", os.getpid()) is newer
    assert not survey.upgraded("haproxy", os.getpid()), "not installed"
    assert not survey.upgraded("supervisor", 0), "not running"


def test_who_could_reach_what(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rules = tmp_path / "firewall.nft"
    rules.write_text("# app ports: 8000\n")
    line = "tcp LISTEN 0 5 0.0.0.0:{} 0.0.0.0:* cgroup:/system.slice/{}.service <->\n"
    listing = line.format(2022, "ssh") + line.format(9100, "exporter")
    monkeypatch.setattr(survey, "run", lambda *_: listing)
    monkeypatch.setattr(proc, "lineage", lambda _: [])
    found = Survey.from_json(survey.reachable([str(rules), str(tmp_path / "missing")]))
    assert [(each.port, each.unit) for each in found.listeners] == [(9100, "exporter.service")]
    assert found.ssh_ports == (2022,)
    assert found.firewall_ports == (8000,)
