"""Runs of pyinfra's command line that do not pay for its start.

A server imports pyinfra and wsdeploy once, and forks for each run: what runs is the command line
itself, with arguments, folder, environment and output of its own. What it shares with other runs is
what Python reads when it starts: where modules are, and the seed of its hashes. Runs of another
checkout of the project can't be made so.

As a program it is that server. A request is a datagram with a line of JSON and three descriptors:
those of the run's output and of its errors, and a pipe, which gets two lines: the run's process ID,
and its exit code when it has ended. The server ends when its standard input does.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import inspect
import io
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]

# What gevent replaces would start its event loop in the server.
_fork, _waitpid, _select = os.fork, os.waitpid, select.select
PRELOADED = (
    "encodings.idna",
    "gevent.fileobject",
    "gzip",
    "pyinfra_cli.main",
    "pyinfra.connectors.fake",
    "pyinfra.connectors.ssh",
    "pyinfra.facts.server",
    "pyinfra.operations.server",
    "wsdeploy",
    "wsdeploy.deploy.ending",
    "wsdeploy.deploy.service",
    "wsdeploy.deploy.start",
    *(
        f"wsdeploy.deploy.operations.{path.stem}"
        for path in (PROJECT / "wsdeploy/deploy/operations").glob("*.py")
    ),
    "wsdeploy.release.contents",
    "wsdeploy.release.build",
)

# pyinfra reads these when it is imported, so that a run can't change them.
AT_IMPORT = {"PYINFRA_FAKE_DELAY": "0", "PYINFRA_FAKE_DELAY_JITTER": "0"}

# Seconds between two looks at a cluster, and after which a wrong answer is the last: a cluster that
# only answers goes on at each look.
PATIENCE = {"rollout": {"PAUSE": 0.1}, "handshake": {"PAUSE": 0.1, "ANSWERED": 1}}


class Server:
    """One server: that of all xdist's processes, or one that is started when it is first asked."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._variable = f"WSDEPLOY_TESTS_PYINFRA_{seed}"
        self._lock = threading.Lock()
        # Kept for as long as the server is needed.
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def run(
        self,
        arguments: Sequence[object],
        *,
        cwd: Path,
        env: Mapping[str, str],
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """Run `pyinfra ARGUMENTS` and return what subprocess.run would.

        timeout: seconds. Raises subprocess.TimeoutExpired after ending the run.
        """
        words = [str(argument) for argument in arguments]
        request = json.dumps({"arguments": words, "cwd": str(cwd), "env": dict(env)})
        reading, writing = os.pipe()
        # Unbuffered, so that what select() sees is what readline() gets.
        with (
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
            open(reading, "rb", buffering=0) as answers,
        ):
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
                    server.connect(self.address())
                    ours = [out.fileno(), err.fileno(), writing]
                    socket.send_fds(server, [request.encode()], ours)
            finally:
                os.close(writing)
            code = _ended(answers, words, timeout)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(words, code, out.read(), err.read())

    def address(self) -> str:
        """Return the path of the server's socket, for processes that this one starts as well."""
        with self._lock:
            project, _, path = os.environ.get(self._variable, "").rpartition(":")
            if project != str(PROJECT):
                path = self._start()
                os.environ[self._variable] = f"{PROJECT}:{path}"
            return path

    def _start(self) -> str:
        self._folder = tempfile.TemporaryDirectory(prefix="wsdeploy-tests-")
        path = f"{self._folder.name}/pyinfra"
        own = {"PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": str(self._seed)}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            # Whoever asks from now on is answered.
            listener.bind(path)
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno())],
                cwd=PROJECT,
                env=os.environ | own | AT_IMPORT,
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
            )
        return path


def _ended(answers: io.FileIO, words: list[str], timeout: float) -> int:
    """Wait for the end of a run, and return its exit code."""
    line = answers.readline()
    if not line:
        raise RuntimeError("the server of pyinfra's runs has ended")
    pid = int(line)
    try:
        if not select.select([answers], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(words, timeout)
        return int(answers.readline())
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        raise


_first, _second = Server(seed=1), Server(seed=2)
_servers = itertools.cycle([_first, _second])


def share() -> None:
    """Let all processes that this one starts ask the same servers, which end with this one.

    A server imports pyinfra when it is first asked.
    """
    for server in (_first, _second):
        server.address()


def run(
    arguments: Sequence[object],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    in_turn: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run `pyinfra ARGUMENTS` and return what subprocess.run would.

    in_turn: whether each run is made by another server than the one before, whose sets have another
    order: what follows such an order would differ from run to run for users, too.
    timeout: seconds. Raises subprocess.TimeoutExpired after ending the run.
    """
    server = next(_servers) if in_turn else _first
    return server.run(arguments, cwd=cwd, env=env, timeout=timeout)


def main() -> None:
    """Serve until standard input ends."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    prepared = False
    # The runs under way: their processes, and where the exit code goes.
    runs: dict[int, tuple[int, int]] = {}
    while True:
        ready, _, _ = _select([sys.stdin.fileno(), listener.fileno(), *runs], [], [])
        if sys.stdin.fileno() in ready:
            return
        for process in runs.keys() & ready:
            pid, answers = runs.pop(process)
            _, status = _waitpid(pid, 0)
            _answer(answers, os.waitstatus_to_exitcode(status))
            os.close(answers)
            os.close(process)
        if listener.fileno() in ready:
            text, (out, err, answers), _, _ = socket.recv_fds(listener, 2**20, 3)
            if not prepared:
                _prepare()
                prepared = True
            pid = _fork()
            if pid == 0:
                _run(json.loads(text), out, err)
            os.close(out)
            os.close(err)
            _answer(answers, pid)
            runs[os.pidfd_open(pid)] = (pid, answers)


def _answer(answers: int, number: int) -> None:
    # Who asked may have gone.
    with contextlib.suppress(BrokenPipeError):
        os.write(answers, b"%d\n" % number)


def _prepare() -> None:
    """Do once what each run would do anew, with the same result."""
    for name in PRELOADED:
        _module(name)
    _module("wsdeploy.plan.host.remote").payload("survey", {})
    compiled = _module("wsdeploy.plan.host.render")._environment(())
    folder = _module("wsdeploy.templates").OURS
    for path in folder.rglob("*.j2"):
        compiled.get_template(path.relative_to(folder).as_posix())
    for section in _below(_module("wsdeploy.settings.section").Section):
        _module("wsdeploy.settings.section")._hints(section)
    # From now on inspect knows which module each file is.
    inspect.getmodule(inspect.currentframe())
    _ease_pyinfra()
    for name, values in PATIENCE.items():
        vars(_module(f"wsdeploy.deploy.cluster.{name}")).update(values)
    # Runs share all of this, and look for no garbage in it.
    gc.collect()
    gc.freeze()


def _below(base: type[object]) -> Iterator[type[object]]:
    """Yield all classes that come of one."""
    for each in base.__subclasses__():
        yield each
        yield from _below(each)


def _ease_pyinfra() -> None:
    """Spare pyinfra what it finds out about its own code again and again."""
    _module("wsdeploy.deploy.shortcuts").take()
    _module("pyinfra.api.arguments").all_global_arguments()
    connectors = _module("pyinfra.api.connectors")
    connectors.entry_points = functools.cache(connectors.entry_points)
    connectors.get_all_connectors()


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _run(request: dict[str, Any], out: int, err: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(descriptor, target)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.argv = ["pyinfra", *request["arguments"]]
    code: object = 1
    try:
        sys.modules["pyinfra_cli.main"].main()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    threading._shutdown()  # type: ignore[attr-defined]  # not in its types
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if isinstance(code, str):
        os.write(2, f"{code}\n".encode())
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
