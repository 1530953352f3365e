"""What a host is like, asked in one exchange for everything that its roles manage."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

from pyinfra.api.exceptions import FactProcessError, OperationError
from pyinfra.api.facts import FactBase
from pyinfra.api.host import Host
from pyinfra.context import ctx_host, state

from wsdeploy.deploy import connection, lock, programs, run
from wsdeploy.plan import components, summary
from wsdeploy.plan.app import process_counts, release_commands, rollout_order
from wsdeploy.plan.app.rollback import History
from wsdeploy.plan.component import Component
from wsdeploy.plan.host import remote
from wsdeploy.plan.host.render import RenderError
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import handshake, host_keypairs
from wsdeploy.plan.target import HostCertificates, Target
from wsdeploy.settings import Settings
from wshost import requests

LACKING = Survey()
"""The survey of a host that has to be sent the programs first."""
SILENT = Survey(bare=True)
"""That of a host that has not answered; pyinfra fails it."""


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


def survey(settings: Settings) -> Survey:
    """Return the survey of the current host, asking only if what is known may have changed.

    pyinfra asks again for every operation; a host only changes when this run changes it, or between
    the planning of the run and its execution.
    """
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    current = run.current()
    with current.survey_locks.setdefault(host.name, threading.Lock()):
        known = current.phase.surveys
        if host.name not in known:
            locked = lock.held()
            found = _ask(host, settings)
            if lock.held() and not locked:
                # It may have been another run's work in progress that was seen.
                found = _ask(host, settings)
            if state.is_executing:
                lock.note(found.locks.get(settings.name))
            known[host.name] = found
            _note_serving(settings, host.name, found)
        current.processes[host.name] = Target(settings, host.name, known[host.name]).processes
        return known[host.name]


def _note_serving(settings: Settings, host: str, found: Survey) -> None:
    """Note what serves on a host before this run changes it, and by how many processes."""
    current = run.current()
    report = current.report(host)
    if host in settings.topology.app:
        if found is SILENT:
            return
        report.look(summary.serving(settings, found))
        current.release_commands |= release_commands.done(settings.name, found)
        current.served.setdefault(host, rollout_order.has_served(Target(settings, host, found)))
        if current.phase.histories is None:
            # Else what serves may have another number of them than the settings ask for.
            report.processes = Target(settings, host, found).processes


def _ask(host: Host, settings: Settings) -> Survey:
    connection.watch(host)
    try:
        requests = run.current().requests
        if host.name not in requests:
            requests[host.name] = components.request(settings, host.name)
        request = requests[host.name].to_json()
        if _may_be_verified(host):
            request["handshake"] = handshake.request(settings, handshake.GLANCE)
    except RenderError as error:
        # A template of one's own.
        raise OperationError(str(error)) from error
    asked = remote.payload("survey.survey", request, bundle=False, again=True)
    answer = host.get_fact(HostSurvey, _stdin=asked)
    if answer is LACKING:
        answer = host.get_fact(HostSurvey, _stdin=remote.payload("survey.survey", request))
    if answer and not answer.bare:
        programs.note(host)
    return answer or SILENT


def _may_be_verified(host: Host) -> bool:
    """Tell whether a client that is served now need not come again at the end of the run."""
    current = run.current()
    return state.is_executing and host.name in current.verified and not run.has_changed_hosts()


class HostHistory(FactBase[History]):
    """What has served on a host, as far as it remembers."""

    def command(self) -> str:
        """Return the command; the request goes to its standard input."""
        return remote.command("rollout.history")

    def process(self, output: list[str]) -> History:
        """Read the answer. Raises FactProcessError, which fails this host only."""
        try:
            return History.from_json(json.loads(remote.answer(output)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise FactProcessError(f"not a history: {error}") from error


def histories(settings: Settings) -> dict[str, History]:
    """Return what has served on each app host of this run; each is asked once.

    What one host goes back to depends on what the others serve.
    """
    current = run.current()
    with current.history_lock:
        known = current.phase.histories
        if known is None:
            connected = {each.name: each for each in state.activated_hosts}
            hosts = [connected[name] for name in settings.topology.app if name in connected]
            known = {each.name: _history(settings, each) for each in hosts}
            current.phase.histories = known
        return known


def _history(settings: Settings, host: Host) -> History:
    request: requests.History = {"name": settings.name}
    with ctx_host.use(host):
        asked = programs.payload("rollout.history", request, host=host)
        found = host.get_fact(HostHistory, _stdin=asked)
    if not found:
        return History(None, None, ())
    # Without a record, what serves is not known.
    if (live := found.record(found.live)) or found.live is None:
        report = run.current().report(host.name)
        report.look(live.serving() if live else None)
        report.processes = live.processes if live else 0
    return found


class UnknownError(Exception):
    """Another host is no part of this run, and what it would have said is not known here."""


def app_processes(proxy: Target) -> dict[str, int]:
    """Return how many processes each app host has, for proxies: it says so, or it has said so.

    proxy: its own note says what it has learnt before. While a run is executed no other host is
    asked, as with certificates; proxies come when all app hosts are done. Raises UnknownError.
    """
    settings = proxy.settings
    if not process_counts.are_cached(settings):
        return {}
    apps = settings.topology.app
    if not state.is_executing:
        for each in [each for each in state.activated_hosts if each.name in apps]:
            with ctx_host.use(each):
                survey(settings)
    known = {**process_counts.cached(proxy), **run.current().processes}
    for host in apps:
        if host not in known:
            raise UnknownError(
                f'processes="auto": how many {host} has is not known here; run without --limit'
            )
    return {host: known[host] for host in apps}


def host_certificates(settings: Settings) -> HostCertificates:
    """Return the certificates of the hosts of this run, for TLS between the tiers.

    While a run is executed they are those that were noted (note_host_certificates), because a
    survey of a host that is being changed would soon be wrong.
    """
    known = run.current().phase.host_certificates
    if not state.is_executing:
        for each in [it for it in state.activated_hosts if settings.topology.roles(it.name)]:
            with ctx_host.use(each):
                known[each.name] = host_keypairs.own(target(settings))
    return known


def note_host_certificates(settings: Settings) -> None:
    """Note the certificates of the current host, which don't change any more in this run."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    run.current().phase.host_certificates[host.name] = host_keypairs.own(target(settings))


def forget() -> None:
    """Ask the current host again next time, because it is about to change."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    run.current().phase.surveys.pop(host.name, None)


def target(settings: Settings) -> Target:
    """Return the current host, with what it knows of itself."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    return Target(settings, host.name, survey(settings))


def target_of(settings: Settings, component: Component) -> Target:
    """Return the current host, as a component is planned for it. Raises UnknownError."""
    found = target(settings)
    if component.knows_host_certificates and settings.internal_tls:
        found = replace(found, host_certificates=host_certificates(settings))
    if component.knows_processes:
        numbers = app_processes(found)
        found = replace(found, survey=replace(found.survey, app_processes=numbers))
    return found
