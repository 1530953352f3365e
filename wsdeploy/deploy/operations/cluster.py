"""A service in a cluster. Each operation is a step of wsdeploy.deploy.cluster.session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from pyinfra import logger
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.api.host import Host
from pyinfra.api.operation import operation
from pyinfra.api.state import State
from pyinfra.context import host, state
from pyinfra.operations.util.files import generate_color_diff

from wsdeploy import command_line
from wsdeploy.cluster import changes, found, history, summary
from wsdeploy.cluster import lease as lease_plan
from wsdeploy.cluster.changes import Stage
from wsdeploy.deploy import ending, run
from wsdeploy.deploy.cluster import rollout, session
from wsdeploy.deploy.cluster.session import ERRORS, Session
from wsdeploy.plan.summary import readable

if TYPE_CHECKING:
    from wsdeploy.inventory.clusters import Cluster

WAITS = "the nodes do not have the image yet"

Steps = Generator["Step", None, None]


class Step(PyinfraCommand):
    """A piece of work with a cluster. If it fails, what the run has changed is put back."""

    def __init__(self, present: Session, work: Callable[[], None]) -> None:
        super().__init__()
        self._session = present
        self._work = work

    def execute(self, state: State, host: Host, connector_arguments: Any) -> bool:
        """Do it, and tell whether it went well."""
        try:
            self._work()
        except ERRORS as error:
            self._session.fail(error)
            return False
        return True


def planned(step: Callable[..., Steps]) -> Callable[..., Steps]:
    """Return an operation's function whose errors end a run with a line, in whichever phase."""

    @wraps(step)
    def wrapped(*arguments: Any, **more: Any) -> Steps:
        try:
            yield from step(*arguments, **more)
        except ERRORS as error:
            present = run.current().session
            assert present is not None
            if not state.is_executing:
                present.report.cause = str(error)
                raise OperationError(str(error)) from None
            yield Step(present, partial(_give_up, error))

    return wrapped


def _give_up(error: Exception) -> None:
    raise error


@operation()
@planned
def cluster_lock(cluster: Cluster, always: bool = False) -> Steps:
    """Take the lock of the service in the cluster, if there is anything to change.

    always: take it in any case.
    """
    present = session.current(cluster)
    if always:
        yield Step(present, present.take_lock)
        return
    if present.planned is None:
        present.planned = present.make_plan()
        _show(present)
        if todo := present.look_for_image():
            host.log(f"Will {todo}")
    if present.changes_nothing() and not present.to_build:
        host.noop("all objects are as planned")
        return
    yield Step(present, present.take_lock)


def _show(present: Session) -> None:
    """Say what others have added, what would change, and with --diff, how."""
    plan = present.plan
    for line in changes.additions(plan.wanted, plan.there):
        host.log_styled(readable(line), fg="yellow", log_func=logger.warning)
    for change in plan.changes:
        if state.config.DIFF:
            host.log(f"Will {change.verb} {change.title}")
            for line in generate_color_diff(*changes.diff(change, plan.there)):
                logger.info("  %s", line)
    if state.config.DIFF:
        for each in plan.leftovers:
            host.log(f"Will delete {' '.join(found.key(each))}")


@operation()
@planned
def cluster_image(cluster: Cluster) -> Steps:
    """Have the image in its registry before the cluster hears of it."""
    present = session.current(cluster)
    if not present.to_build:
        host.noop("the image is there")
        return
    yield Step(present, present.provide_image)


@operation()
@planned
def cluster_objects(cluster: Cluster, stage: Stage) -> Steps:
    """Apply the objects of a stage: `before`, `pods` or `after`."""
    present = session.current(cluster)
    if present.report.wrote:
        host.noop(WAITS)
        return
    if state.is_executing and present.executed is None:
        nothing = present.changes_nothing() and present.lock.held is None
        present.executed = present.planned if nothing else present.make_plan()
    todo = present.plan.of(stage)
    if not todo and stage == "pods" and present.plan.is_unfinished:
        yield Step(present, present.finish_pods)
        return
    if not todo:
        host.noop("all is as planned")
        return
    if stage == "pods":
        (deployment,) = todo
        yield Step(present, lambda: present.apply_pods(deployment))
    elif stage == "after":
        yield Step(present, present.apply_rest)
    else:
        yield Step(present, lambda: present.apply(todo))


@operation()
@planned
def cluster_handshake(cluster: Cluster) -> Steps:
    """Open a WebSocket through the way in, as a client does. Changes nothing."""
    present = session.current(cluster)
    if state.is_executing and not present.report.wrote:
        # Not a change: only what fails is yielded.
        try:
            present.handshake()
        except ERRORS as error:
            yield Step(present, partial(_give_up, error))


@operation()
@planned
def cluster_leftovers(cluster: Cluster) -> Steps:
    """Delete objects of the service that are not wanted any more, and that no pod can need."""
    present = session.current(cluster)
    if present.report.wrote:
        host.noop(WAITS)
        return
    leftovers = present.plan.leftovers
    if state.is_executing and present.applied:
        # With new pods, other earlier ones are kept.
        leftovers = changes.leftovers(present.plan.wanted, present.look())
    if not leftovers:
        host.noop("nothing is left over")
        return
    yield Step(present, lambda: present.prune(leftovers))


@operation()
@planned
def cluster_again(cluster: Cluster, action: str, to: str | None = None) -> Steps:
    """Let an earlier revision serve again, or replace all pods. action: `rollback` or `restart`."""
    present = session.current(cluster)
    work = present.restart if action == "restart" else lambda: present.go_back(to)
    yield Step(present, work)


@planned
def report_releases(cluster: Cluster) -> Steps:
    """Show the revisions that the cluster has kept: what `wsdeploy.releases` does there."""
    if state.is_executing:
        present = session.current(cluster)
        there = rollout.look(present.kubectl, present.name)
        kept = history.records(there)
        told = history.to_json(kept)
        run.current().results.setdefault("releases", {})[host.name] = told
        for line in history.listing(kept):
            host.log(line)
        live = there.live(present.name)
        serves, address = found.serving(live) if live else None, ending.address(cluster.settings)
        run.current().closing = summary.shown(
            present.name, address, serves, told["previous"], _inventory()
        )
    yield from ()


@planned
def break_lock(cluster: Cluster) -> Steps:
    """Take the lock away from whoever has it: what `wsdeploy.unlock` does in a cluster."""
    if state.is_executing:
        present = session.current(cluster)
        before = present.lock.unlock()
        had = lease_plan.described(before) if before else None
        run.current().closing = summary.unlocked(present.name, had, _inventory())
    yield from ()


def _inventory() -> str:
    return command_line.typed_inventory(sys.argv[1:])


@operation()
@planned
def cluster_remove(cluster: Cluster) -> Steps:
    """Delete all objects of the service."""
    present = session.current(cluster)
    there = present.look()
    present.check_domain(there)
    namespace = cluster.kubernetes.namespace
    if not there.ours:
        host.noop(f"{present.name} is not there")
        if state.is_executing:
            gone = f"{present.name}: nothing to do; it is not in namespace {namespace}"
            run.current().closing = [gone]
        return
    if not state.is_executing:
        for each in there.ours:
            host.log(f"Will delete {' '.join(found.key(each))}")
    yield Step(present, lambda: present.remove(there))
