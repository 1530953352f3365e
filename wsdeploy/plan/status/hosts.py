"""What a host is asked to say what goes on on it, and what it has answered. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from wsdeploy.plan import components
from wsdeploy.plan.app import process_counts, watchdog
from wsdeploy.plan.component import Component
from wsdeploy.plan.host import firewall, paths
from wsdeploy.plan.host.render import RenderError
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import acme, handshake, host_keypairs, proxies
from wsdeploy.plan.target import Target
from wsdeploy.settings import Acme, Settings, SettingsError
from wsdeploy.settings.secret_values import SecretError
from wshost import requests
from wshost.requests import GenerationStatus, ProcessStatus, StatusAnswer

PATIENCE = 1.5
"""Seconds for all that a host finds out; two thirds of that for the app's processes."""
NEEDS_FILES = ("certificate",)
"""Components whose files are on this machine, secret, and nothing that looking needs."""


@dataclass(frozen=True)
class HostStatus:
    """A host of the fleet, as far as it has answered."""

    name: str
    roles: tuple[str, ...]
    answer: StatusAnswer | None
    """None for one that can't be reached."""
    reason: str = ""
    """Why not."""
    differences: tuple[str, ...] | None = None
    """What is not as planned; None if that is not known."""

    @property
    def generations(self) -> list[GenerationStatus]:
        """The generations that Supervisor has there."""
        return (self.answer or {}).get("generations") or []

    @property
    def live(self) -> GenerationStatus | None:
        """The one that serves."""
        return next((each for each in self.generations if each["live"]), None)

    @property
    def clients(self) -> int:
        """How many clients its processes have, those of generations that go among them."""
        every = [p for each in self.generations for p in each["processes"]]
        return sum(map(clients, every))


def clients(process: ProcessStatus) -> int:
    """Return how many clients a process has: it says so, or its sockets do."""
    told = process["numbers"]
    return told["connections"] if told else process["connections"]


def serves(process: ProcessStatus) -> bool:
    """Tell whether a process takes clients, as far as that is known."""
    return process["statename"] == "RUNNING" and process["reply"] in ("answered", None)


def request(settings: Settings, host: str, *, survey: bool = True) -> requests.Status:
    """Return what to ask a host. survey: whether to ask what a deployment would, too."""
    target = Target.unknown(settings, host)
    asked: requests.Status = {
        "name": settings.name,
        "units": units(settings, host),
        "proxy": proxies.chosen(settings).UNIT if target.is_proxy else None,
        "certificates": [paths.certificate(settings.name)] if target.is_proxy else [],
        "folders": [
            "/",
            f"/var/log/{settings.name}",
            "/var/log",
            paths.data(settings.name),
            "/srv",
        ],
        "patience": PATIENCE,
    }
    if target.is_proxy:
        # What its first message is may have to stay where the secrets are.
        with contextlib.suppress(SecretError):
            asked["handshake"] = handshake.request(settings, PATIENCE * 2 / 3)
    if survey:
        asked["survey"] = components.request(settings, host).to_json()
    return asked


def units(settings: Settings, host: str) -> list[str]:
    """Return the systemd units that should be at work on a host."""
    target = Target.unknown(settings, host)
    found = [
        each.unit(settings)
        for each in components.COMPONENTS
        if each.unit and each.on(target) and each.wanted(target)
    ]
    return found + ([acme.service(settings)] if has_renewal(settings, host) else [])


def has_watchdog(settings: Settings, host: str) -> bool:
    """Tell whether a host has a watchdog."""
    return host in settings.topology.app and watchdog.wanted(settings)


def has_renewal(settings: Settings, host: str) -> bool:
    """Tell whether a host renews a certificate by itself."""
    return host in settings.topology.proxy and isinstance(settings.tls, Acme)


def has_firewall(settings: Settings) -> bool:
    """Tell whether hosts have rules of ours in their packet filter."""
    return firewall.wanted(settings)


def look(settings: Settings, answers: Mapping[str, StatusAnswer | str]) -> list[HostStatus]:
    """Return the hosts of a fleet in the inventory's order.

    answers: by their names; of a host that can't be reached, why.
    """
    found = {name: it for name, it in answers.items() if not isinstance(it, str)}
    surveys = {name: Survey.from_json(it["survey"]) for name, it in found.items() if "survey" in it}
    topology = settings.topology
    return [
        HostStatus(
            name,
            tuple(role for role in ("app", "proxy") if name in getattr(topology, role)),
            found.get(name),
            "" if name in found else str(answers[name]),
            differences(settings, name, surveys) if name in surveys else None,
        )
        for name in dict.fromkeys((*topology.app, *topology.proxy))
        if name in answers
    ]


def differences(
    settings: Settings, host: str, surveys: Mapping[str, Survey]
) -> tuple[str, ...] | None:
    """Return what is not on a host as its settings want it, but for the release.

    None for a host that lacks so much that it was never set up.
    """
    survey = surveys[host]
    if survey.bare:
        return None
    target = Target(settings, host, survey)
    counts = {name: Target(settings, name, it).processes for name, it in surveys.items()}
    if process_counts.are_cached(settings):
        counts = {**process_counts.cached(target), **counts}
    apps = {name: counts[name] for name in settings.topology.app if name in counts}
    knows_counts = len(apps) == len(settings.topology.app)
    target = replace(target, survey=replace(survey, app_processes=apps))
    everyone = {name: host_keypairs.own(Target(settings, name, it)) for name, it in surveys.items()}
    knows_certificates = everyone.keys() >= {*settings.topology.app, *settings.topology.proxy}
    target = replace(target, host_certificates=everyone) if settings.internal_tls else target
    found: list[str] = []
    for each in components.COMPONENTS:
        unknown = (
            (each.knows_processes and not knows_counts)
            or (each.knows_host_certificates and settings.internal_tls and not knows_certificates)
            or each.name in NEEDS_FILES
        )
        if each.on(target) and not unknown:
            found += _differences(target, each)
    return tuple(dict.fromkeys(found))


def _differences(target: Target, component: Component) -> Iterator[str]:
    settings, survey = target.settings, target.survey
    # Of these there is a problem of its own.
    told = [] if component.name != firewall.NAME else firewall.drift(target)
    if component.unit and not survey.is_active(component.unit(settings)):
        told = survey.not_running(component.unit(settings))
    if not component.wanted(target):
        if component.marker(settings) in survey.paths:
            yield f"{component.set_name(settings)} is left over"
        return
    try:
        files = component.files(target)
        if files.files:
            yield from files.differences(survey)
            yield from (each for each in component.drift(target) if each not in told)
    # A template of one's own, or a file on this machine.
    except (RenderError, SettingsError, OSError) as error:
        yield f"{component.set_name(settings)} can't be planned: {error}"
