"""The watchdog among processes that are there, and a Supervisor that says what a test lets it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.host_programs.conftest import Start, Supervisord
from wshost.common import proc
from wshost.watchdog import config, monitor, service
from wshost.watchdog.service import Watchdog

IDENTITY = "0123456789ab"
GROUP = f"ws-{IDENTITY}"

# Answers every request; on SIGTERM it listens no more but stays, and on SIGUSR1 its loop blocks.
# It has a child, as servers with workers do. Without asyncio, it starts in a fifth of the time.
SERVER = """
import contextlib, json, os, select, signal, socket, sys, time
if not os.fork():
    time.sleep(1000)
kind, where = (json.loads(a) for a in sys.argv[1:])
if kind == "unix":
    server = socket.socket(socket.AF_UNIX)
    server.bind(where)
else:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(("127.0.0.1", where))
    where_now = server.getsockname()[1]
server.listen(100)
server.setblocking(False)
wanted = set()
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: wanted.add(number))
wake, waker = os.pipe()
os.set_blocking(waker, False)
signal.set_wakeup_fd(waker)
print(where if kind == "unix" else where_now, os.getpid(), flush=True)
asking = {}
while True:
    ready = select.select([wake, *([server] if server else []), *asking], [], [])[0]
    if wake in ready:
        os.read(wake, 100)
        if signal.SIGUSR1 in wanted:
            time.sleep(1000)
        if signal.SIGTERM in wanted and server:
            server.close()
            server = None
            if kind == "unix":
                os.unlink(where)
    for one in ready:
        if one in asking:
            # Who asked may have gone on the way: no server ends for that.
            with contextlib.suppress(OSError):
                part = b""
                asking[one] += (part := one.recv(65536))
                if part and b"\\n" in asking[one]:
                    one.send(b"HTTP/1.1 426 Upgrade Required\\r\\n\\r\\n")
            if b"\\n" in asking[one] or not part:
                del asking[one]
                one.close()
    if server in ready:
        try:
            asking[server.accept()[0]] = b""
        except BlockingIOError:
            pass
"""


class Host:
    """A host with a generation on it."""

    def __init__(
        self,
        folder: Path,
        supervisord: Supervisord,
        program: Start,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.folder, self.supervisord, self.program = folder, supervisord, program
        self.sockets = folder / "run/ws" / IDENTITY
        self.sockets.mkdir(parents=True)
        self.live(IDENTITY)
        (folder / "conf.d").mkdir()
        self.watchdog = Watchdog("ws", folder / "run", folder / "conf.d")
        self.started: dict[str, subprocess.Popen[str]] = {}
        self._capsys = capsys
        self.log = ""
        self.port = 0

    def live(self, generation_id: str) -> None:
        link = self.folder / "run/ws/current"
        link.unlink(missing_ok=True)
        link.symlink_to(generation_id)

    def liveness(self, kind: str = "unix", **changes: int) -> None:
        where = self.sockets if kind == "unix" else f"127.0.0.1:{self.port}"
        values = {"hang_timeout": 1, "start_timeout": 30, "stop_wait": 60} | changes
        self.describe(f"{kind}:{where}", {"host": "a-company.com", "path": "/"} | values)

    def describe(self, listen: str, watch: dict[str, Any] | None) -> None:
        found = {
            "release": "r", "environment": "e", "listen": listen, "processes": 3, "open_files": 9,
            "watch": watch,
        }  # fmt: skip
        (self.folder / "conf.d" / f"{GROUP}.json").write_text(json.dumps(found))

    def start(self, name: str, kind: str = "unix", group: str = GROUP) -> subprocess.Popen[str]:
        number = int(name[-2:]) if kind == "tcp" else 0
        where = str(self.sockets / f"{name}.sock") if kind == "unix" else self.port + number
        process = self.program(SERVER, kind, where, start_new_session=True)
        assert process.stdout is not None
        where, pid = process.stdout.readline().split()
        if kind == "shared":
            self.port = int(where)
        self.started[name] = process
        entry = {"group": group, "name": name, "statename": "RUNNING", "pid": int(pid)}
        self.supervisord.processes.append(entry | {"spawnerr": ""})
        return process

    def state(self, name: str, statename: str, **more: Any) -> None:
        entry = next(p for p in self.supervisord.processes if p["name"] == name)
        entry |= {"statename": statename} | more

    def watch(
        self, seconds: float | None = None, until: Callable[[], object] = lambda: False
    ) -> None:
        """Let the watchdog work, for some time or until something is true."""
        end = time.monotonic() + (seconds or 60)
        while time.monotonic() < end:
            self.watchdog.rest(self.watchdog.step(time.monotonic()))
            self.log += self._capsys.readouterr().out
            if until():
                return
        assert seconds, f"waited in vain: {self.log}"

    def answered(self) -> bool:
        """Whether all that is watched has answered."""
        found = self.watchdog._rounds.watched if self.watchdog._rounds else {}
        return bool(found) and all(each.pulse.beats for each in found.values())

    def killed(self, name: str) -> Callable[[], bool]:
        process = self.started[name]
        return lambda: process.poll() == -signal.SIGKILL

    def alive(self) -> set[str]:
        return {name for name, process in self.started.items() if process.poll() is None}


@pytest.fixture
def host(
    tmp_path: Path, supervisord: Supervisord, program: Start, capsys: pytest.CaptureFixture[str]
) -> Iterator[Host]:
    made = Host(tmp_path, supervisord, program, capsys)
    yield made
    made.watchdog.close()
    for process in made.started.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def three(request: pytest.FixtureRequest, host: Host) -> Host:
    """Three processes that have answered."""
    kind = getattr(request, "param", "unix")
    for name in ("ws_00", "ws_01", "ws_02"):
        host.start(name, kind)
    host.liveness(kind)
    host.watch(until=host.answered)
    return host


WAYS = pytest.mark.parametrize("three", ["unix", "shared"], indirect=True)


HANGS = pytest.mark.parametrize("hang", [signal.SIGSTOP, signal.SIGUSR1], ids=["stop", "block"])


@WAYS
@HANGS
def test_only_the_one_that_hangs_is_killed(three: Host, hang: signal.Signals) -> None:
    began = time.monotonic()
    os.kill(three.started["ws_01"].pid, hang)
    three.watch(until=three.killed("ws_01"))
    assert time.monotonic() - began > 0.7
    pid = three.started["ws_01"].pid
    assert f"<4>ws_01 (pid {pid}, {GROUP}) has not answered for " in three.log
    assert three.log.count("killed") == 1
    three.watch(seconds=1.2)
    assert three.alive() == {"ws_00", "ws_02"}


@WAYS
def test_all_of_them_at_once(three: Host) -> None:
    for process in three.started.values():
        os.kill(process.pid, signal.SIGSTOP)
    three.watch(until=lambda: not three.alive())


def test_its_children_go_with_it(three: Host) -> None:
    group = three.started["ws_00"].pid
    os.kill(group, signal.SIGSTOP)
    three.watch(until=three.killed("ws_00"))

    def gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        # Who adopts the child may take its time to collect it.
        children = [
            int(p) for p in os.listdir("/proc") if p.isdigit() and group_of(int(p)) == group
        ]
        return all(state_of(p) == "Z" for p in children)

    three.watch(until=gone)


def group_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return int(proc.fields(pid)[2])
    return None


def state_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return proc.fields(pid)[0]
    return "Z"


@pytest.mark.parametrize("statename", ["STOPPING", "STARTING"])
def test_what_is_stopped_or_started_is_left_alone(three: Host, statename: str) -> None:
    three.state("ws_01", statename)
    os.kill(three.started["ws_01"].pid, signal.SIGSTOP)
    three.watch(seconds=1.6)
    assert three.alive() == {"ws_00", "ws_01", "ws_02"}
    assert three.log == ""


@WAYS
def test_what_drains_after_a_signal_is_left_alone_for_as_long_as_a_drain_takes(three: Host) -> None:
    os.kill(three.started["ws_01"].pid, signal.SIGTERM)
    three.watch(seconds=1.6)
    assert three.log == ""
    kind = "unix" if three.port == 0 else "shared"
    three.liveness(kind, stop_wait=1)
    # It has answered before, but this is a new agreement: it counts as starting until it answers.
    three.liveness(kind, stop_wait=1, start_timeout=0)
    three.watch(until=three.killed("ws_01"))
    assert "has not listened for" in three.log


def test_a_generation_that_does_not_serve_is_none_of_its_business(three: Host) -> None:
    three.live("ffffffffffff")
    for process in three.started.values():
        os.kill(process.pid, signal.SIGSTOP)
    three.watch(seconds=1.6)
    assert len(three.alive()) == 3
    assert three.log == ""


def test_never_without_supervisors_word(three: Host, supervisord: Supervisord) -> None:
    supervisord.faults["getAllProcessInfo"] = (6, "SHUTDOWN_STATE")
    os.kill(three.started["ws_01"].pid, signal.SIGSTOP)
    three.watch(seconds=1.6)
    assert len(three.alive()) == 3
    assert three.log == "<4>nothing is killed meanwhile: getAllProcessInfo: SHUTDOWN_STATE\n"
    supervisord.faults.clear()
    three.watch(until=three.killed("ws_01"))


def test_who_has_the_same_number_later_is_not_killed(three: Host) -> None:
    """Supervisor has replaced the process in the moment before."""
    three.state("ws_01", "RUNNING", pid=three.started["ws_00"].pid)
    os.kill(three.started["ws_01"].pid, signal.SIGSTOP)
    three.watch(seconds=1.6)
    assert len(three.alive()) == 3


@WAYS
def test_the_successor_is_watched_at_once(three: Host, supervisord: Supervisord) -> None:
    kind = "unix" if three.port == 0 else "shared"
    os.kill(three.started["ws_01"].pid, signal.SIGSTOP)
    three.watch(until=three.killed("ws_01"))
    supervisord.processes[:] = [p for p in supervisord.processes if p["name"] != "ws_01"]
    with contextlib.suppress(FileNotFoundError):
        (three.sockets / "ws_01.sock").unlink()
    three.start("ws_01", kind)
    three.watch(until=lambda: "after its predecessor was killed" in three.log)
    os.kill(three.started["ws_01"].pid, signal.SIGSTOP)
    three.watch(until=three.killed("ws_01"))


def test_start_timeout(host: Host) -> None:
    host.start("ws_00")
    os.kill(host.started["ws_00"].pid, signal.SIGSTOP)
    host.liveness(start_timeout=3)
    host.watch(seconds=1.4)
    assert host.alive() == {"ws_00"}
    host.watch(until=host.killed("ws_00"))
    assert "has not answered once in the " in host.log


def test_not_after_this_machine_has_stood_still(three: Host) -> None:
    for process in three.started.values():
        os.kill(process.pid, signal.SIGSTOP)
    until = three.watchdog.step(time.monotonic())
    time.sleep(1.5)
    for process in three.started.values():
        os.kill(process.pid, signal.SIGCONT)
    three.watchdog.rest(until)
    three.watch(seconds=1.5)
    assert len(three.alive()) == 3
    assert three.log == ""


def test_not_for_time_without_a_processor(three: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that do not answer, one waits for a processor all the time."""
    waits, hangs = (three.started[name].pid for name in ("ws_00", "ws_01"))
    began = time.monotonic()
    stopped: list[float] = []
    monkeypatch.setattr(
        monitor,
        "queued",
        lambda pid: (stopped or [time.monotonic()])[0] - began if pid == waits else 0.0,
    )
    for pid in (waits, hangs):
        os.kill(pid, signal.SIGSTOP)
    three.watch(until=three.killed("ws_01"))
    three.watch(seconds=1.5)
    assert three.alive() == {"ws_00", "ws_02"}
    stopped.append(time.monotonic())
    three.watch(until=three.killed("ws_00"))


def test_time_in_the_queue_is_counted() -> None:
    """Two of them share one processor, so each waits for half of the time."""
    code = (
        "import os, time\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"
    )
    busy = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    try:
        deadline = time.monotonic() + 20
        while min(monitor.queued(each.pid) for each in busy) < 0.2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    assert monitor.queued(busy[0].pid) == 0


def two_ports() -> int:
    """Two ports in a row that are free."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", one.getsockname()[1] + 1))
                port: int = one.getsockname()[1]
                return port


def test_the_successor_on_a_port_of_its_own(host: Host, supervisord: Supervisord) -> None:
    host.port = two_ports()
    host.start("ws_00", "tcp")
    host.start("ws_01", "tcp")
    host.liveness("tcp")
    host.watch(until=host.answered)
    os.kill(host.started["ws_01"].pid, signal.SIGSTOP)
    host.watch(until=host.killed("ws_01"))
    supervisord.processes.pop()
    host.start("ws_01", "tcp")
    host.state("ws_01", "STARTING")
    # The other one is looked at meanwhile.
    os.kill(host.started["ws_00"].pid, signal.SIGSTOP)
    host.watch(seconds=0.6)
    os.kill(host.started["ws_00"].pid, signal.SIGCONT)
    host.state("ws_01", "RUNNING")
    host.watch(until=lambda: "after its predecessor was killed" in host.log)
    assert host.alive() == {"ws_00", "ws_01"}


def test_a_new_listener_on_the_port_is_not_taken_for_the_old_one(host: Host) -> None:
    """While a rollout runs, processes of the next generation share the ports, and may hang."""
    host.start("ws_00", "shared")
    host.liveness("tcp")
    host.watch(until=host.answered)
    host.start("ws_99", "shared", group="ws-ffffffffffff")
    os.kill(host.started["ws_99"].pid, signal.SIGSTOP)
    host.watch(seconds=4)
    assert host.alive() == {"ws_00", "ws_99"}
    assert host.log == ""
    os.kill(host.started["ws_00"].pid, signal.SIGSTOP)
    host.watch(until=host.killed("ws_00"))
    assert host.alive() == {"ws_99"}


def test_what_supervisor_has_given_up_is_started_again(
    three: Host, supervisord: Supervisord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REVIVE_FIRST", 0.2)
    monkeypatch.setattr(service, "REFRESH", 0.1)
    three.state("ws_01", "FATAL", pid=0, spawnerr="can't find command")
    three.watchdog._refresh_at = 0

    def starts() -> int:
        return supervisord.calls.count(("startProcess", f"{GROUP}:ws_01", False))

    began = time.monotonic()
    three.watch(until=lambda: starts() == 3)
    # After 0.2, 0.4 and 0.8 seconds.
    assert time.monotonic() - began > 1.3
    assert "ws_01 (ws-0123456789ab) was FATAL (can't find command): started again" in three.log
    three.state("ws_01", "STOPPED")
    three.watch(seconds=1)
    assert starts() == 3, "somebody wants it so"


def test_nothing_is_watched_without_terms(host: Host) -> None:
    host.start("ws_00")
    os.kill(host.started["ws_00"].pid, signal.SIGSTOP)
    host.describe(f"unix:{host.sockets}", None)
    host.watch(seconds=2)
    host.live("gone")
    host.watch(seconds=1)
    assert host.alive() == {"ws_00"}
    assert host.supervisord.calls == []


WHOLE = {
    "release": "r", "environment": "e", "listen": "unix:/x", "processes": 1, "open_files": 9,
}  # fmt: skip


@pytest.mark.parametrize(
    "found",
    ["", "[", [], {}, WHOLE, WHOLE | {"watch": {}}, WHOLE | {"watch": {"host": "a"}, "listen": 5}],
)
def test_terms_that_are_none(tmp_path: Path, found: dict[str, Any] | list[Any] | str) -> None:
    text = found if isinstance(found, str) else json.dumps(found)
    (tmp_path / "a.json").write_text(text)
    assert config.read(tmp_path / "a.conf", GROUP) is None
    assert config.read(tmp_path / "none.conf", GROUP) is None


def test_age(program: Start) -> None:
    assert 0 <= proc.age(os.getpid()) < 24 * 3600
    with pytest.raises(OSError, match="No such"):
        proc.age(2**22 + 1)


def test_the_check_before_it_is_installed() -> None:
    service.main(["--check"])
