"""What a host is like, asked in one exchange for everything that its roles manage."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from weakref import WeakKeyDictionary

from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase
from pyinfra.api.host import Host
from pyinfra.context import ctx_host, state

from wsdeploy.deploy import lock, programs
from wsdeploy.plan import components, processes
from wsdeploy.plan.history import History
from wsdeploy.plan.host import limits, remote
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import identity
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wshost import requests

LACKING = Survey()
"""The survey of a host that has to be sent the programs first."""


class HostSurvey(FactBase[Survey]):
    """The state of a host, as far as the request on standard input asks for it."""

    def command(self) -> str:
        """Return the command; the request goes to its standard input."""
        return remote.command_on_bare_host("survey.survey")

    def process(self, output: list[str]) -> Survey:
        """Read the answer. Raises FactProcessError, which fails this host only."""
        try:
            answer = json.loads(remote.answer(output))
            return LACKING if answer == remote.MISSING else Survey.from_json(answer)
        except (ValueError, TypeError) as error:
            raise FactProcessError(f"not a survey: {error}") from error


# pyinfra asks again for every operation; a host only changes when we change it, or between the
# planning of a run and its execution.
_known: WeakKeyDictionary[Host, tuple[bool, Survey]] = WeakKeyDictionary()
# While a run is planned, a host is surveyed for others too; they wait for each other.
_being_asked: WeakKeyDictionary[Host, threading.Lock] = WeakKeyDictionary()
# How many processes each host has, or would have, that was surveyed in this run.
_processes: dict[str, int] = {}


def survey(settings: Settings) -> Survey:
    """Return the survey of the current host, asking only if what is known may have changed."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    with _being_asked.setdefault(host, threading.Lock()):
        found = _survey(host, settings)
        _processes[host.name] = limits.processes(settings, found)
        return found


def _survey(host: Host, settings: Settings) -> Survey:
    executing = state.is_executing
    asked_while, found = _known.get(host, (None, Survey()))
    if asked_while is not executing:
        while True:
            locked = lock.held()
            found = _ask(host, settings)
            if executing:
                lock.look(settings, found.locks.get(settings.name))
            # What was seen before the lock was taken may have been another run's work in progress.
            if locked or not lock.held():
                break
        _known[host] = (executing, found)
    return found


def _ask(host: Host, settings: Settings) -> Survey:
    request = components.request(settings, host.name).to_json()
    asked = remote.payload("survey.survey", request, bundle=False, again=True)
    answer = host.get_fact(HostSurvey, _stdin=asked)
    if answer is LACKING:
        answer = host.get_fact(HostSurvey, _stdin=remote.payload("survey.survey", request))
    if answer and not answer.bare:
        programs.note(host)
    return answer or Survey(bare=True)


class HostHistory(FactBase[History]):
    """What has served on a host, as far as it remembers."""

    def command(self) -> str:
        """Return the command; the request goes to its standard input."""
        return remote.command("rollout.history")

    def process(self, output: list[str]) -> History:
        """Read the answer. Raises FactProcessError, which fails this host only."""
        try:
            return History.from_json(json.loads(remote.answer(output)))
        except (ValueError, TypeError, KeyError) as error:
            raise FactProcessError(f"not a history: {error}") from error


_histories: dict[bool, dict[str, History]] = {}
_one_at_a_time = threading.Lock()


def histories(settings: Settings) -> dict[str, History]:
    """Return what has served on each app host of this run; each is asked once.

    What one host goes back to depends on what the others serve.
    """
    with _one_at_a_time:
        if state.is_executing not in _histories:
            connected = {each.name: each for each in state.activated_hosts}
            hosts = [connected[name] for name in settings.topology.app if name in connected]
            found = {}
            for each in hosts:
                with ctx_host.use(each):
                    request: requests.History = {"name": settings.name}
                    asked = programs.payload("rollout.history", request, host=each)
                    answer = each.get_fact(HostHistory, _stdin=asked)
                found[each.name] = answer or History(None, None, ())
            _histories[state.is_executing] = found
        return _histories[state.is_executing]


class UnknownError(Exception):
    """Another host is no part of this run, and what it would have said is not known here."""


def app_processes(settings: Settings, proxy: Survey) -> dict[str, int]:
    """Return how many processes each app host has, for proxies: it says so, or it has said so.

    proxy: its own survey, whose note says what it has learnt before. While a run is executed no
    other host is asked, as with certificates; proxies come when all app hosts are done.
    Raises UnknownError.
    """
    if not processes.learnt(settings):
        return {}
    apps = settings.topology.app
    if not state.is_executing:
        for each in [each for each in state.activated_hosts if each.name in apps]:
            with ctx_host.use(each):
                survey(settings)
    known = {**processes.noted(settings, proxy), **_processes}
    for host in apps:
        if host not in known:
            raise UnknownError(
                f'processes="auto": how many {host} has is not known here; run without --limit'
            )
    return {host: known[host] for host in apps}


# What operations on one host have to know of the others.
_identities: dict[bool, dict[str, tuple[str, ...]]] = {True: {}, False: {}}


def identities(settings: Settings) -> identity.Identities:
    """Return the certificates of the hosts of this run, for TLS between the tiers.

    While a run is executed they are those that were noted (note_identity), because a survey of a
    host that is being changed would soon be wrong.
    """
    known = _identities[state.is_executing]
    if not state.is_executing:
        for each in state.activated_hosts:
            with ctx_host.use(each):
                known[each.name] = identity.own(settings, survey(settings))
    return known


def note_identity(settings: Settings) -> None:
    """Note the certificates of the current host, which don't change any more in this run."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    _identities[state.is_executing][host.name] = identity.own(settings, survey(settings))


def forget() -> None:
    """Ask the current host again next time, because it is about to change."""
    _known.pop(ctx_host.get(), None)  # type: ignore[no-untyped-call]


def target(settings: Settings, knows_others: bool = False) -> Target:
    """Return the current host as it is planned for.

    knows_others: whether the plan depends on what other hosts are like. Raises UnknownError.
    """
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    found = Target(settings, host.name, survey(settings))
    if not knows_others:
        return found
    if settings.internal_tls:
        found = replace(found, identities=identities(settings))
    if found.is_proxy:
        numbers = app_processes(settings, found.survey)
        found = replace(found, survey=replace(found.survey, app_processes=numbers))
    return found
