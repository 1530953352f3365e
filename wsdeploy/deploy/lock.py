"""The lock of a fleet: one run at a time changes anything.

A run takes it right before its first change, on every one of its hosts, the first app host first;
one that has nothing to change needs no lock. If anybody has it, or has had it since this run looked
at a host, this run ends there, before it has changed anything. It is released when pyinfra
disconnects, however the run ends.
"""

from __future__ import annotations

import contextlib
import json

import gevent  # type: ignore[import-untyped]
from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host
from pyinfra.api.state import BaseStateCallback, State
from pyinfra.context import ctx_host, state

from wsdeploy.deploy import owner, programs, run
from wsdeploy.plan import fleet_lock as plan
from wsdeploy.plan.host import remote
from wsdeploy.settings import Settings
from wshost.requests import BreakLock, Claim, LockAnswer, LockState, ReleaseLock, TakeLock


class RefusedError(Exception):
    """Another run has the lock; the message says whose it is and what to do."""


class _Release(BaseStateCallback):
    @staticmethod
    def host_disconnect(state: State, host: Host) -> None:
        release(host)


def held() -> bool:
    """Tell whether this run has the lock of the current host."""
    return _current().name in run.current().lock.held


def note(found: LockState | None) -> None:
    """Note the lock of the current host as a survey has found it."""
    if not held():
        run.current().lock.seen[_current().name] = found


def take_over(settings: Settings) -> bool:
    """Take over the lock of the current host if a run of this machine has left it that is gone.

    What that run has left at work may change the host until it ends, which is waited for.
    Returns whether anything may have changed meanwhile. Whoever then wants to change something will
    be told if the lock is refused.
    """
    seen = run.current().lock.seen.get(_current().name)
    if held() or not plan.abandoned(seen, owner.is_gone):
        return False
    with contextlib.suppress(RefusedError):
        take(settings, telling=False)
    return True


def take(settings: Settings, telling: bool = True) -> None:
    """Take the lock of all hosts of the run that it has not been taken of yet.

    A host that has no Python yet can't be locked. Raises RefusedError if another run has the lock;
    then this one has none either.
    """
    lock = run.current().lock
    with lock.mutex:
        if not lock.refusals:
            _take_all(settings)
        if lock.refusals:
            *told, reason = lock.refusals
            if telling:
                lock.refusals.append(reason)
            # Once is enough.
            raise RefusedError(f"{_current().name} was left as it is" if told else reason)


def _take_all(settings: Settings) -> None:
    missing = [each for each in _hosts(settings) if each.name not in run.current().lock.held]
    if not missing:
        return
    if not any(isinstance(handler, _Release) for handler in state.callback_handlers):
        state.add_callback_handler(_Release())  # type: ignore[no-untyped-call]
    # Whoever gets the first host goes on to the others, so that of two runs at once one wins.
    lead, *others = missing
    step = _step()
    try:
        _take(settings, lead, step)
        jobs = [gevent.spawn(_try, settings, other, step) for other in others]
        for problem in [job.get() for job in gevent.joinall(jobs)]:
            if problem:
                raise problem
    except RefusedError as refused:
        run.current().lock.refusals.append(str(refused))
        for each in _hosts(settings):
            release(each)


def _try(settings: Settings, target: Host, step: str) -> RefusedError | None:
    try:
        _take(settings, target, step)
    except RefusedError as refused:
        return refused
    return None


def _take(settings: Settings, target: Host, step: str, over: LockState | None = None) -> None:
    """Take the lock of a host. over: who has it, but is gone."""
    request: TakeLock = {
        "action": "take",
        "name": settings.name,
        "run": {"id": run.current().id, "owner": owner.name(), "process": owner.process()},
        "step": step,
        "over": None,
    }
    lock = run.current().lock
    if target.name in lock.seen:
        seen = lock.seen[target.name]
        request["seen"] = seen
        if plan.abandoned(seen, owner.is_gone):
            over = seen
    if over is not None:
        note = (
            f"{plan.described(over)}; it is gone, and what it may have left at work is waited for"
        )
        target.log_styled(note, fg="yellow", log_func=logger.warning)
        request["over"] = over["id"]
    answer = ask(target, request)
    if answer is None or "problem" in answer:
        why = (answer or {}).get("problem") or "it did not answer"
        raise RefusedError(f"{target.name}: the lock of this service can't be taken: {why}")
    if answer.get("bare"):
        return
    if answer["taken"]:
        lock.held[target.name] = settings.name
        return
    before = answer["before"]
    if over is None and target.name not in lock.seen and plan.abandoned(before, owner.is_gone):
        _take(settings, target, step, over=before)
        return
    lock.elsewhere = not plan.is_free(before)
    raise RefusedError(plan.refusal(before, target.name))


def release(target: Host) -> None:
    """Give the lock of a host back, if this run has it."""
    name = run.current().lock.held.pop(target.name, None)
    if name is None:
        return
    answer = ask(target, {"action": "release", "name": name, "id": run.current().id})
    if answer is None or "problem" in answer or answer.get("busy"):
        why = "is still at work" if answer and answer.get("busy") else "did not answer"
        note = f"the host {why}, so its lock stays; the next run on this machine takes it over"
        target.log_styled(note, fg="yellow", log_func=logger.warning)


def ask(target: Host, request: TakeLock | ReleaseLock | BreakLock) -> LockAnswer | None:
    """Run wshost.common.lock on a host and return its answer, or None if there is none."""
    command = StringCommand(remote.command_on_bare_host("common.lock"))
    try:
        asked = programs.payload("common.lock", request, host=target, again=True)
        done, output = target.run_shell_command(command, _stdin=asked)
        answer: LockAnswer = json.loads(remote.answer(output.stdout.splitlines()))
        if answer == remote.MISSING:
            # A reboot, since this run looked at the host.
            programs.forget(target)
            return ask(target, request)
    except Exception as error:  # each kind of connection has its own
        logger.debug("the lock of %s: %r", target.name, error)
        return None
    return answer if done else None


def claim(settings: Settings) -> Claim | None:
    """Return what a program is told of this run, to go on only while it has the lock."""
    if not held():
        return None
    return {"name": settings.name, "id": run.current().id, "step": _step()}


def _hosts(settings: Settings) -> list[Host]:
    """Return the hosts of this run that have not failed, in the inventory's order."""
    active = {each.name: each for each in state.active_hosts}
    return [active[name] for name in plan.order(settings.topology) if name in active]


def _step() -> str:
    current = _current()
    meta = state.op_meta.get(current.current_op_hash or "")
    return f"{', '.join(sorted(meta.names)) if meta else 'start'} on {current.name}"


def _current() -> Host:
    found: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    return found
