"""Read the logs of all hosts of a run at the same time, and show them as one."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import gevent  # type: ignore[import-untyped]
from pyinfra.api.host import Host
from pyinfra.api.state import State

from wsdeploy.deploy import run
from wsdeploy.deploy.asking import NoAnswerError, ask
from wsdeploy.plan import logs, summary
from wsdeploy.plan.logs import Line, Wanted
from wsdeploy.settings import Settings
from wshost.requests import LogLine

EVERY = 1.0
"""Seconds between two looks at logs that are followed."""


class LogReader:
    """The logs of the hosts of a run."""

    def __init__(self, state: State, settings: Settings, wanted: Wanted) -> None:
        self._settings = settings
        self._wanted = wanted
        self._hosts: list[Host] = [
            host
            for host in state.active_hosts
            if settings.topology.roles(host.name) and wanted.host in (None, host.name)
        ]
        self.left_out = 0
        self.silent: dict[str, str] = {}
        """Hosts that do not answer, and why."""

    def read(self) -> tuple[list[Line], list[str]]:
        """Return the lines, and what is to be said of connections that were looked for."""
        lines = self._ask(self._wanted)
        if not self._wanted.find:
            return lines, []
        found = logs.connections(lines, self._settings)
        ids = tuple(dict.fromkeys(each.id for each in found if each.id))
        if ids and set(ids) != set(self._wanted.find):
            # What the app says of these has another address, or none.
            lines = self._ask(replace(self._wanted, find=(*self._wanted.find, *ids)))
        lines = logs.about(lines, found)
        return lines, [*logs.explanation(found, lines)]

    def follow(self) -> None:
        """Show lines as they come, until somebody ends it."""
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
        seen: Counter[Line] = Counter()
        wanted = self._wanted
        while True:
            began = time.time()
            for line in logs.fresh(self._ask(wanted), seen):
                print(line.shown(), flush=True)
            wanted = replace(wanted, since=began - logs.OVERLAP, until=began + 3600)
            gevent.sleep(EVERY)

    def _ask(self, wanted: Wanted) -> list[Line]:
        """Return the lines of all hosts, which are asked at the same time."""
        jobs = {host.name: gevent.spawn(self._of_host, host, wanted) for host in self._hosts}
        gevent.joinall([*jobs.values()])
        answers: Mapping[str, Sequence[LogLine]] = {n: job.value or [] for n, job in jobs.items()}
        lines = logs.merged(answers)
        self.left_out += max(0, len(lines) - wanted.most)
        return lines[-wanted.most :]

    def _of_host(self, host: Host, wanted: Wanted) -> list[LogLine]:
        try:
            answer = ask(host, "logs.logs", wanted.request(self._settings, host.name))
        except NoAnswerError as error:
            self.silent[host.name] = str(error)
            return []
        self.left_out += answer["left_out"]
        found: list[LogLine] = answer["lines"]
        return found


def show(state: State, settings: Settings, wanted: Wanted, unreached: Mapping[str, str]) -> int:
    """Show what is wanted and return the exit code: 1 if any host has not answered."""
    reader = LogReader(state, settings, wanted)
    if wanted.follow and "--json" not in sys.argv:
        reader.follow()
    lines, said = reader.read()
    silent = {**unreached, **reader.silent}
    if "--json" in sys.argv:
        run.current().results["logs"] = {
            "lines": [asdict(line) for line in lines],
            "connections": said,
            "left_out": reader.left_out,
            "silent": silent,
        }
        return 1 if silent else 0
    width = max((len(f"{line.host} {line.source}") for line in lines), default=0)
    for line in lines:
        print(line.shown(width))
    for text in said:
        print(f"-> {text}")
    if reader.left_out:
        print(f"{reader.left_out:,} older lines were left out; lines=N shows more", file=sys.stderr)
    for name, why in silent.items():
        print(summary.readable(f"{name} does not answer: {why}"), file=sys.stderr)
    if not lines:
        print("there are no such lines", file=sys.stderr)
    return 1 if silent else 0
