"""Where the processor time of a message goes: to which program, and to what within it.

perf looks 2,000 times a second what each processor is doing, while clients send messages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.clients import Crowd
from bench.traffic import part
from bench.traffic.collect import Samples, turns
from bench.traffic.contenders import Contender, prepare
from bench.traffic.host import SUITES, Host, deploy
from bench.traffic.messages import CLIENTS, SIZE, WARM_UP, connected
from wsdeploy_sandbox import prerequisites

FREQUENCY = 1999
"""Looks a second at each processor: not in step with timers, which go off at round numbers."""

NAMES = "ours, TLS", "guide, TLS", "processes"
LIBRARIES = {
    "[kernel": "kernel",
    "libssl": "OpenSSL",
    "libcrypto": "OpenSSL",
    "loop.cpython": "uvloop",
    "python3": "Python",
}
"""How the name of what a program's code is in begins, and what it is called in the result."""

OWN = {"proxy": "itself", "app": "C libraries"}
"""What the rest is."""


def main(quick: bool, proxies: tuple[str, ...] = tuple(SUITES)) -> None:
    """Measure with each proxy, and write the results."""
    if not shutil.which("perf"):
        prerequisites.install(["linux-perf"])
    rounds, seconds = (1, 1.0) if quick else (5, 3.0)
    for proxy in proxies:
        host = deploy(proxy)
        contenders = prepare(host)
        samples = Samples()
        for number in range(rounds):
            for name in turns(list(NAMES), number):
                with connected(name, contenders[name], CLIENTS) as crowd:
                    taken = _profile(host, contenders[name], crowd, seconds)
                for what, microseconds in taken.items():
                    samples.add(f"{name}: {what}", "µs of processor", microseconds)
        samples.notes |= {"clients": CLIENTS, "bytes": SIZE}
        samples.write("profile", host, quick)


def _profile(host: Host, contender: Contender, crowd: Crowd, seconds: float) -> dict[str, float]:
    """Return the microseconds that a message takes, by what takes them."""
    pids = {"clients": crowd.pids, "app": host.pids(contender.app)}
    if contender.proxy:
        pids["proxy"] = host.pids(contender.proxy)
    owners = {thread: owner for owner, found in pids.items() for thread in _threads(found)}
    with Look() as look:
        echoed = crowd.echo(SIZE, seconds, WARM_UP)
    # It has looked from before the first message on, until after the last.
    messages = echoed.messages * (seconds + WARM_UP) / seconds
    counts = shares(look.table, owners)
    return {what: count / FREQUENCY / messages * 1e6 for what, count in sorted(counts.items())}


def _threads(pids: Sequence[int]) -> list[int]:
    """Return the numbers of processes' threads: perf has those where it says "Pid"."""
    return [int(task.name) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]


class Look:
    """perf, looking at all processors while the `with` block runs; then it has a table."""

    def __enter__(self) -> Self:
        """Begin to look."""
        self._folder = tempfile.TemporaryDirectory()
        self._data = str(Path(self._folder.name, "perf.data"))
        commands, self._commands = os.pipe()
        self._answers, answer = os.pipe()
        options = ["-q", "-a", "-e", "cpu-clock", "-F", str(FREQUENCY), "-o", self._data]
        wait = ["-D", "-1", "--control", f"fd:{commands},{answer}"]
        self._process = subprocess.Popen(
            ["perf", "record", *options, *wait],
            pass_fds=(commands, answer),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answer)
        os.write(self._commands, b"enable\n")
        if not os.read(self._answers, 16):
            raise RuntimeError("perf does not work on this machine")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        os.write(self._commands, b"stop\n")
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
        columns = ["--sort", "pid,dso", "-n", "-t", ";", "-g", "none"]
        report = ["perf", "report", "-i", self._data, *columns]
        self.table = subprocess.run(report, capture_output=True, text=True, check=True).stdout
        self._folder.cleanup()


def shares(table: str, owners: Mapping[int, str]) -> Counter[str]:
    """Return how often each part was seen, from perf's table of thread, code and count. Pure.

    owners: which part a thread is, by its number. Clients are one part, whatever they do; other
    processes and idle processors are left out.
    """
    found: Counter[str] = Counter()
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split(";")]
        if line.startswith("#") or len(cells) < 4:
            continue
        owner = owners.get(int(cells[2].partition(":")[0]))
        if owner == "clients":
            found[owner] += int(cells[1])
        elif owner:
            found[f"{owner}, {_called(cells[3], owner)}"] += int(cells[1])
    return found


def _called(code: str, owner: str) -> str:
    return next((name for start, name in LIBRARIES.items() if code.startswith(start)), OWN[owner])


if __name__ == "__main__":
    part.run(main)
