"""Runs of pyinfra's command line that do not pay for its start.

A server imports pyinfra and wsdeploy once, and forks for each run: what runs is the command line
itself, with arguments, folder, environment and output of its own. What it shares with other runs is
what Python reads when it starts: where modules are, and the seed of its hashes. Runs of another
checkout of the project can't be made so.

As a program it is that server: it reads a line of JSON for each run from standard input, and prints
the run's process ID, and its exit code when it has ended.
"""

import atexit
import contextlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]

# What gevent replaces would start its event loop in the server.
_fork, _waitpid = os.fork, os.waitpid
PRELOADED = (
    "pyinfra_cli.main",
    "pyinfra.connectors.fake",
    "pyinfra.connectors.ssh",
    "pyinfra.facts.server",
    "pyinfra.operations.server",
    "wsdeploy",
    "wsdeploy.deploy.roles",
    *(
        f"wsdeploy.deploy.operations.{path.stem}"
        for path in (PROJECT / "wsdeploy/deploy/operations").glob("*.py")
    ),
    "wsdeploy.release.contents",
    "wsdeploy.release.build",
)

# pyinfra reads these when it is imported, so that a run can't change them.
AT_IMPORT = {"PYINFRA_FAKE_DELAY": "0", "PYINFRA_FAKE_DELAY_JITTER": "0"}


class Server:
    """One server, started when it is first asked; its runs take turns."""

    def __init__(self, seed: int) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._seed = seed

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
        with self._lock, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            request = {
                "arguments": words,
                "cwd": str(cwd),
                "env": dict(env),
                "out": f"/proc/{os.getpid()}/fd/{out.fileno()}",
                "err": f"/proc/{os.getpid()}/fd/{err.fileno()}",
            }
            code = self._answer(json.dumps(request), words, timeout)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(words, code, out.read(), err.read())

    def _answer(self, request: str, words: list[str], timeout: float) -> int:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        pid = 0
        try:
            process.stdin.write(f"{request}\n".encode())
            # Unbuffered, so that what select() sees is what readline() gets.
            pid = int(process.stdout.readline())
            if not select.select([process.stdout], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(words, timeout)
            return int(process.stdout.readline())
        except BaseException:
            # Whatever is to be read belongs to this run, so the server goes with it.
            for doomed in filter(None, (pid, process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(doomed, signal.SIGKILL)
            process.wait()
            self._process = None
            raise

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            own = {"PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": str(self._seed)}
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                cwd=PROJECT,
                env=os.environ | own | AT_IMPORT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
        return self._process


_servers = itertools.cycle([Server(seed=1), Server(seed=2)])
_first = Server(seed=1)


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
    for name in PRELOADED:
        __import__(name)
    for line in sys.stdin:
        request = json.loads(line)
        pid = _fork()
        if pid == 0:
            _run(request)
        print(pid, flush=True)
        _, status = _waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(request: dict[str, Any]) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(request["out"], os.O_WRONLY)
    err = os.open(request["err"], os.O_WRONLY | os.O_APPEND)
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
