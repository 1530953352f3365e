"""The end of a run: what it did is said once, after all that pyinfra says."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from typing import Any

from gevent.pool import Pool  # type: ignore[import-untyped]
from pyinfra.api.host import Host
from pyinfra.api.state import State, StateStage
from pyinfra.context import ctx_state

from wsdeploy import command_line
from wsdeploy.cluster import summary as cluster_summary
from wsdeploy.cluster.summary import ClusterOutcome
from wsdeploy.command_line import Action
from wsdeploy.deploy import progress, run
from wsdeploy.plan import summary
from wsdeploy.plan.summary import Outcome
from wsdeploy.release.source import CERTIFICATES
from wsdeploy.settings import SelfSigned, Settings


def begin(action: Action | None, inventory: str, command: str) -> None:
    """Prepare for a run that begins.

    action: what it does to what serves; None for a run that does nothing to it, of which only what
    it has left to be said is.
    inventory, command: how its inventory and what it is to do are named on the command line.
    """
    progress.begin()
    prints: Any = sys.modules.get("pyinfra_cli.prints")
    if hasattr(prints, "print_json"):
        prints.print_json = _with_results(prints.print_json, action, inventory, command)
    state: State | None = ctx_state.get()  # type: ignore[no-untyped-call]
    if state:
        atexit.register(_say, state, action, inventory, command)


def interrupt() -> None:
    """Let the present run end, whatever its hosts are at."""
    run.current().interrupted = True
    state: State = ctx_state.get()  # type: ignore[no-untyped-call]
    # pyinfra has room for one piece of work per host. It would only disconnect, and give back the
    # lock, when a host that is in the middle of a drain has come to its end.
    state.pool = Pool()


def outcome(state: State, action: Action, inventory: str, command: str) -> Outcome | None:
    """Return what became of a run; None if it has met no host, or was only planned."""
    if not state.initialised:
        return None
    current = run.current()
    settings = _settings(state)
    ended = state.current_stage == StateStage.Disconnect
    failed = bool(state.failed_hosts) or not ended
    for host in state.failed_hosts:
        report = current.report(host.name)
        report.lost = report.lost or host not in state.activated_hosts
        report.cause = report.cause or (None if report.lost else "see above")
    if settings is None or not current.reports or not (state.is_executing or state.failed_hosts):
        return None
    reports, topology = current.reports, settings.topology
    lost = {host for host, report in reports.items() if report.lost}
    return Outcome(
        action=action,
        name=settings.name,
        address=address(settings),
        inventory=inventory,
        command=command,
        certificate=(
            str(CERTIFICATES / f"{settings.domain}.pem")
            if isinstance(settings.tls, SelfSigned)
            else None
        ),
        apps={host: reports[host] for host in topology.app if host in reports},
        proxies={host: report for host, report in reports.items() if host not in topology.app},
        absent=[host for host in topology.app if host not in reports],
        changed=_changed(state),
        began=bool(state.is_executing),
        refused=current.lock.elsewhere,
        dry=command_line.dry(sys.argv[1:]),
        nobody_else=all(host.name in lost for host in state.inventory if _is_part(state, host)),
        interrupted=current.interrupted,
        failed=failed,
    )


def cluster_outcome(
    state: State, action: Action, inventory: str, command: str
) -> ClusterOutcome | None:
    """Return what became of a run for a cluster; None if it was none, or only planned."""
    session = run.current().session if state.initialised else None
    if session is None:
        return None
    failed = bool(state.failed_hosts) or state.current_stage != StateStage.Disconnect
    if not (state.is_executing or session.report.cause):
        return None
    settings = session.cluster.settings
    return ClusterOutcome(
        action=action,
        name=settings.name,
        namespace=session.kubectl.namespace,
        address=address(settings),
        inventory=inventory,
        command=command,
        report=session.report,
        began=bool(state.is_executing),
        dry=command_line.dry(sys.argv[1:]),
        interrupted=run.current().interrupted,
        failed=failed,
    )


def address(settings: Settings) -> str:
    """Return where a service is, as it is said to people."""
    # A query may hold a token.
    return f"wss://{settings.domain}{settings.app.probe.path.partition('?')[0]}"


def _say(state: State, action: Action | None, inventory: str, command: str) -> None:
    if not state.initialised:
        return
    lines = run.current().closing
    if action:
        found = outcome(state, action, inventory, command)
        done = state.current_stage == StateStage.Disconnect and not state.failed_hosts
        lines = summary.lines(found) if found else lines if done else []
        if in_cluster := cluster_outcome(state, action, inventory, command):
            lines = [*lines, *cluster_summary.lines(in_cluster)]
    if not lines:
        return
    # What pyinfra has not written yet removes the rest of its own line.
    sys.stderr.write("\n" + "".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


def _with_results(
    show: Callable[[Any], None], action: Action | None, inventory: str, command: str
) -> Callable[[Any], None]:
    """Return pyinfra's function that prints the results of a run, with our own beside its."""

    def shown(payload: Any) -> None:
        state: State | None = ctx_state.get()  # type: ignore[no-untyped-call]
        if isinstance(payload, dict) and payload.get("results") and state and state.initialised:
            found: Outcome | ClusterOutcome | None = None
            if action:
                found = outcome(state, action, inventory, command)
                found = found or cluster_outcome(state, action, inventory, command)
            own = {**run.current().results, **({"run": found.to_json()} if found else {})}
            payload = {**payload, **({"wsdeploy": own} if own else {})}
        show(payload)

    return shown


def _settings(state: State) -> Settings | None:
    """Return the settings that the hosts of a run have; hosts of the user's own have none."""
    found = (host.data.get("settings") for host in state.inventory)
    return next((each for each in found if isinstance(each, Settings)), None)


def _is_part(state: State, host: Host) -> bool:
    """Tell whether a host is part of a run, by --limit and --exclude."""
    return bool(state.is_host_in_limit(host))


def _changed(state: State) -> dict[str, list[str]]:
    """Return the operations that changed something, each with the names of its hosts."""
    found: dict[str, list[str]] = {}
    order: list[str] = state.get_op_order()  # type: ignore[no-untyped-call]
    for op_hash in order:
        title = sorted(state.op_meta[op_hash].names)[0].rpartition("| ")[2]
        for host in state.inventory.iter_activated_hosts():
            data = state.ops[host].get(op_hash)
            meta = data.operation_meta if data else None
            if meta is not None and meta.is_complete() and meta.did_change():
                hosts = found.setdefault(title, [])
                if host.name not in hosts:
                    hosts.append(host.name)
    return found
