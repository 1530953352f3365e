"""What the hosts of a fleet hold: each is asked, then told of."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host, state

from wsdeploy.deploy import programs, run
from wsdeploy.plan.capacity import report
from wsdeploy.plan.capacity.usage import Measured
from wsdeploy.plan.host import remote
from wsdeploy.plan.proxy import internal, proxies
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wshost import requests

SECONDS = 5
"""For how long processor time is watched. The kernel counts it in hundredths of a second."""


class Capacity(FactBase[Measured]):
    """What a host has, and what its service takes of it."""

    def command(self) -> str:
        """Return the command; the request goes to its standard input."""
        return remote.command("survey.capacity")

    def process(self, output: list[str]) -> Measured:
        """Read the answer. Raises FactProcessError, which fails this host only."""
        try:
            return Measured.from_json(json.loads(remote.answer(output)))
        except (ValueError, TypeError, KeyError) as error:
            raise FactProcessError(f"not a measurement: {error}") from error


@operation()
def measure(settings: Settings) -> Generator[StringCommand, None, None]:
    """Ask the host what it has and what its service takes of it now. Changes nothing."""
    if state.is_executing:
        target, units = Target.unknown(settings, host.name), {}
        if target.is_proxy:
            units["proxy"] = proxies.chosen(settings).UNIT
        if internal.wanted(target):
            units["internal"] = internal.unit(settings)
        request: requests.Capacity = {
            "name": settings.name,
            "units": units,
            "seconds": SECONDS,
        }
        answer = host.get_fact(Capacity, _stdin=programs.payload("survey.capacity", request))
        if answer:
            run.current().measured[host.name] = answer
    yield from ()


@operation()
def report_host(settings: Settings) -> Generator[StringCommand, None, None]:
    """Say what the host holds. Changes nothing."""
    if state.is_executing and host.name in run.current().measured:
        measured = _complete(settings)[host.name]
        target = measured.target(settings, host.name)
        found = run.current().results.setdefault("capacity", {"hosts": {}})
        found["hosts"][host.name] = report.to_json(target, measured)
        for line in report.lines(target, measured):
            host.log(line)
    yield from ()


@operation()
def report_fleet(settings: Settings) -> Generator[StringCommand, None, None]:
    """Say what the hosts hold together, once. Changes nothing."""
    if state.is_executing and host.name == next(iter(run.current().measured), None):
        measured = _complete(settings)
        found = run.current().results.setdefault("capacity", {"hosts": {}})
        found["fleet"] = report.together(settings, measured)
        for line in report.fleet(settings, measured):
            host.log(line)
    yield from ()


def _complete(settings: Settings) -> dict[str, Measured]:
    """Return what was measured, with what proxies have to know of the app hosts."""
    found = run.current().measured
    apps = [name for name in settings.topology.app if name in found]
    counts = {name: found[name].target(settings, name).processes for name in apps}
    return {name: replace(it, app_processes=counts) for name, it in found.items()}
