"""What host programs need around them: this user's names, and processes that can be killed."""

import grp
import json
import os
import pwd
import shutil
import socketserver
import subprocess
import sys
import threading
import time
import xmlrpc.client
import xmlrpc.server
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, TypeVar, cast

import pytest

from wsdeploy.plan.host.files import File, FileSet
from wshost import requests
from wshost.common import atomic, storage, supervisor
from wshost.rollout import description, generations, history, restore, retire, rollout
from wshost.survey import certificates

T = TypeVar("T")
MakeFile = Callable[..., File]
AsRequest = Callable[[FileSet], requests.ApplyFiles]
Start = Callable[..., subprocess.Popen[str]]

REPOSITORY = Path(__file__).parents[3]
PATIENCE = 60
"""Seconds in which anything that should happen has happened, on a slow machine too."""


class Until(Protocol):
    """Polls until a condition holds; returns what it returned."""

    def __call__(self, condition: Callable[[], T]) -> T:
        """Fail when it takes too long."""


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The umask that programs run with on hosts, whoever runs the tests."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def known_certificates(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Where descriptions of certificates are kept: not where this machine's own would be."""
    folder = tmp_path_factory.mktemp("run") / "certificates"
    monkeypatch.setattr(certificates, "KNOWN", folder)
    return folder


@pytest.fixture
def until() -> Until:
    """Poll until a condition holds; return what it returned."""

    def wait(condition: Callable[[], T]) -> T:
        end = time.monotonic() + PATIENCE
        while not (result := condition()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)
        return result

    return wait


@pytest.fixture
def file() -> MakeFile:
    """A file that belongs to whoever runs the tests, who can give it to nobody else."""

    def make(path: str, content: str, mode: int = 0o644, **more: Any) -> File:
        owner = pwd.getpwuid(os.getuid()).pw_name
        group = grp.getgrgid(os.getgid()).gr_name
        return File(path, content, mode=mode, **{"owner": owner, "group": group} | more)

    return make


@pytest.fixture
def as_request() -> AsRequest:
    """What a set of files travels as."""

    def make(files: FileSet) -> requests.ApplyFiles:
        return cast(requests.ApplyFiles, {**files.to_json(), "digest": files.digest})

    return make


@pytest.fixture
def program() -> Iterator[Start]:
    """A Python program in a process of its own; it is killed at the end if it still runs."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: Any, **options: Any) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-c", code, *(json.dumps(a) for a in arguments)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def rollout_request(
    generation_id: str,
    listen: str = "unix:/run/ws/@GENERATION@",
    processes: int = 2,
    **changes: Any,
) -> requests.Rollout:
    """What brings a generation into service, with marks for what the host decides."""
    release = changes.pop("release", f"release-{generation_id[0]}")
    request: dict[str, Any] = {
        "name": "ws",
        "by": "anna@laptop",
        "generation": generation_id,
        "release": release,
        "version": generation_id[0],
        "description": {
            "release": release,
            "environment": "/etc/ws/@GENERATION@.env",
            "listen": listen,
            "processes": processes,
            "open_files": 100,
            "watch": None,
        },
        "program": "[program:ws-@GENERATION@]\nautostart=@AUTOSTART@\nautorestart=true\n",
        "environment": 'A="@one@"\n',
        "boot": "L+ /run/ws/current - - - - @GENERATION@\n",
        "reuse_port": True,
        "start_timeout": 1,
        "healthy_for": 0,
        "stop_wait": 1,
        "back_after": 7,
        "probe": {"host": "a.com", "health": None, "path": "/", "send": None, "expect": None},
    }
    return cast(requests.Rollout, request | changes)


class Supervisord:
    """What stands in for Supervisor: it knows processes, and notes what it is told."""

    def __init__(self) -> None:
        self.processes: list[dict[str, Any]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.faults: dict[str, tuple[int, str]] = {}
        self.log = ""

    def _dispatch(self, method: str, parameters: tuple[Any, ...]) -> Any:
        name = method.removeprefix("supervisor.")
        self.calls.append((name, *parameters))
        if name in self.faults:
            raise xmlrpc.client.Fault(*self.faults[name])
        answers = {"getAllProcessInfo": self.processes, "readLog": self.log}
        return answers.get(name, True)


class _Requests(xmlrpc.server.SimpleXMLRPCRequestHandler):
    # There is no such thing on a unix socket.
    disable_nagle_algorithm = False

    def log_message(self, *_: object) -> None:
        pass


class _Server(socketserver.ThreadingUnixStreamServer, xmlrpc.server.SimpleXMLRPCDispatcher):
    # What the dispatcher and the request handler look for.
    allow_none, use_builtin_types, logRequests = True, False, False  # noqa: N815
    encoding: Any = None
    _send_traceback_header = False

    def __init__(self, path: str, instance: Supervisord) -> None:
        xmlrpc.server.SimpleXMLRPCDispatcher.__init__(self, allow_none=True)
        socketserver.ThreadingUnixStreamServer.__init__(self, path, _Requests)
        self.register_instance(instance)


@pytest.fixture
def supervisord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisord]:
    """A Supervisor that the host programs find, in a thread."""
    path = str(tmp_path / "supervisor.sock")
    monkeypatch.setattr(supervisor.processes, "__defaults__", (path,))
    assert supervisor.call.__kwdefaults__ is not None
    monkeypatch.setitem(supervisor.call.__kwdefaults__, "path", path)
    instance = Supervisord()
    with _Server(path, instance) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield instance
        server.shutdown()
        thread.join()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A folder that the programs about generations take for the root of the host.

    Owners are noted, not changed: only root can give files away, and nobody has these users.
    """
    folder = tmp_path / "host"

    def below(path: Path | str) -> Path:
        path = Path(path)
        return path if path.is_relative_to(folder) else folder / path.relative_to("/")

    for module in (generations, history, restore, retire, rollout):
        monkeypatch.setattr(module, "Path", below)
    monkeypatch.setattr(storage, "STATE", below(storage.STATE))
    monkeypatch.setattr(description, "CONF", below(description.CONF))
    monkeypatch.setattr(
        generations,
        "os",
        SimpleNamespace(readlink=lambda path: os.readlink(below(path))),
    )
    owners: dict[str, tuple[str, str]] = {}
    owned: list[tuple[str, ...]] = []

    def numbers(*names: str) -> tuple[int, int]:
        owned.append(names)
        return os.getuid(), os.getgid()

    monkeypatch.setattr(atomic, "owners", numbers)

    def chown(path: Path, user: str, group: str) -> None:
        owners[f"/{Path(path).relative_to(folder)}"] = (user, group)

    monkeypatch.setattr(shutil, "chown", chown)
    for made in ("run/ws", "etc/ws", "etc/tmpfiles.d", "srv/ws/releases", "var/log/ws"):
        (folder / made).mkdir(parents=True)
    description.CONF.mkdir(parents=True)
    return SimpleNamespace(path=folder, owners=owners, owned=owned)
