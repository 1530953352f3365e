"""The app: its release on the host, and the generation of processes that runs it."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host, state

from wsdeploy.deploy import facts, owner, run
from wsdeploy.deploy.operations.flow import failed_elsewhere, remaining_hosts
from wsdeploy.deploy.operations.send import change, failure, log_reasons, without_traceback
from wsdeploy.plan import summary
from wsdeploy.plan.app import generation as plan
from wsdeploy.plan.app import process_counts, release_commands
from wsdeploy.plan.app.release_commands import Kind
from wsdeploy.plan.app.rollout_order import is_first_run
from wsdeploy.plan.host import paths
from wsdeploy.plan.target import Target
from wsdeploy.release import build, contents
from wsdeploy.settings import Settings
from wshost.requests import InstallRelease, Retire, Serving

AGAIN = "again"
"""What `--data before_release=` says to run that once more."""


@operation()
def release(settings: Settings) -> Generator[StringCommand, None, None]:
    """Put the release that the settings describe on the host, beside those that are there."""
    target = facts.target(settings)
    survey = target.survey
    wanted = contents.release(settings, survey)
    if plan.live(target) != _generation(target).id:
        run.current().awaiting.add(host.name)
    releases = paths.releases(settings.name)
    if f"{releases}/{wanted.id}" in survey.paths:
        host.noop(f"release {wanted.id} is there")
        return
    try:
        archive = build.archive(wanted)
    except build.BuildError as error:
        yield failure(f"the release can't be built: {error}")
        return
    request: InstallRelease = {"releases": releases, "id": wanted.id}
    yield change("rollout.install_release", request, archive)


@operation()
@without_traceback
def release_command(settings: Settings, kind: Kind) -> Generator[StringCommand, None, None]:
    """Run a command of the release once for the fleet, on its first host of this run.

    What has run well for a release does not run again, unless `--data before_release=again` asks
    for it. `before_release` waits for something new to come.
    """
    if not release_commands.command(settings.app, kind):
        host.noop("there is none")
        return
    present = {each.name for each in state.activated_hosts}
    chosen = next(name for name in settings.topology.app if name in present)
    if host.name != chosen:
        host.noop(f"{chosen} runs it for all")
        return
    current = run.current()
    target = facts.target(settings)
    unknown = Target.unknown(settings, chosen).survey
    key = release_commands.key(settings, kind, contents.release(settings, unknown).id)
    if host.data.get(kind) != AGAIN:
        if key in current.release_commands:
            host.noop("it has run for this release")
            return
        if kind == "before_release" and not current.awaiting:
            host.noop("no other release is to come")
            return
    request = release_commands.request(
        target,
        _generation(target),
        kind,
        key,
        by=owner.name(),
        commit=current.commit(settings.app.path),
    )
    yield change("rollout.release_command", request)


@operation()
@without_traceback
def generation(
    settings: Settings, *, together: bool = False
) -> Generator[StringCommand, None, None]:
    """Let the wanted generation of processes serve, beside the one that did.

    Whatever needs new processes makes a new generation: code, dependencies, environment, number
    of processes, Python. It serves once all its processes answer a handshake. If it does not
    become healthy, it is removed, and the old one goes on; hosts that come later are left alone.

    together: whether this is for the first run of a fleet only, in which no host waits for another.
    """
    current = run.current()
    if not together and host.name in current.together:
        host.noop("it serves since the first processes")
        return
    target = facts.target(settings)
    # By now all hosts of the run have been surveyed.
    if together and not is_first_run(settings.topology.app, current.served):
        host.noop("hosts take turns")
        return
    wanted = _generation(target)
    if state.is_executing:
        for note in plan.restarts(target):
            host.log_styled(note, fg="yellow", log_func=logger.warning)
    drift = plan.drift(target, wanted)
    if not drift:
        _note_commit(settings, wanted)
        host.noop(f"generation {wanted.id} serves")
        return
    present = {each.name for each in state.activated_hosts}
    live = plan.live(target)
    if reason := process_counts.why_must_stay(target, live, present):
        yield failure(reason)
        return
    failed = failed_elsewhere(settings)
    if failed:
        yield failure(f"{failed} is unhealthy; {host.name} was left as it is")
        return
    log_reasons(drift)
    everywhere = _generation(Target.unknown(settings, settings.topology.app[0]))
    request = plan.rollout(
        target,
        wanted,
        version=everywhere.id,
        by=owner.name(),
        remaining=() if together else remaining_hosts(settings),
        commit=current.commit(settings.app.path),
    )
    serves: Serving = {
        "generation": wanted.id,
        "release": wanted.release,
        "commit": request.get("commit"),
    }
    if together and state.is_executing:
        current.together.add(host.name)
    yield change("rollout.rollout", request, serves=serves)


@operation()
@without_traceback
def retire(settings: Settings, deployed: bool = True) -> Generator[StringCommand, None, None]:
    """Let generations that no longer serve drain, and leave nothing of them.

    deployed: whether it is the generation of the settings that stays, or whichever is live.
    This comes last: until then the proxies' configuration may still refer to them.
    """
    target = facts.target(settings)
    live = _generation(target).id if deployed else plan.live(target)
    leftovers = plan.leftovers(target, live) if live else []
    if not leftovers:
        host.noop("no other generation is left")
        return
    log_reasons(leftovers)
    assert live is not None
    request: Retire = {
        "name": settings.name,
        "generation": live,
        "by": owner.name(),
        "stop_wait": target.limits.stop_wait,
    }
    yield change("rollout.retire", request)


def _generation(target: Target) -> plan.Generation:
    """Return the generation that a host should have."""
    wanted = contents.release(target.settings, target.survey)
    return plan.planned(target, wanted.id, wanted.main)


def _note_commit(settings: Settings, wanted: plan.Generation) -> None:
    """Note which commit it is that serves, where the host has not kept that: the same code."""
    report = run.current().report(host.name)
    for serving in map(summary.known, (report.before, report.now)):
        if serving and not serving["commit"] and serving["release"] == wanted.release:
            serving["commit"] = run.current().commit(settings.app.path)
