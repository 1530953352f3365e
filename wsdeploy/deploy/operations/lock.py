"""The lock of a fleet, for commands that begin with it, and for one that breaks it."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import PyinfraCommand, StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import ctx_host, host, state

from wsdeploy.deploy import facts, lock, owner
from wsdeploy.deploy.operations.cluster import break_lock
from wsdeploy.deploy.operations.send import failure
from wsdeploy.plan import fleet_lock as plan
from wsdeploy.settings import Settings
from wshost.requests import BreakLock


@operation()
def take_lock(settings: Settings) -> Generator[StringCommand, None, None]:
    """Take the lock now, because what comes next depends on what is on all hosts."""
    if state.is_executing:
        try:
            lock.take(settings)
        except lock.RefusedError as refused:
            yield failure(str(refused))


@operation()
def take_over_lock(settings: Settings) -> Generator[StringCommand, None, None]:
    """Take over the lock of a run of this machine that is gone, before anything is decided."""
    if state.is_executing:
        facts.survey(settings)
        if lock.take_over(settings):
            facts.forget()
    yield from ()


@operation()
def unlock() -> Generator[PyinfraCommand, None, None]:
    """Take the lock away from whoever has it.

        pyinfra -y inventories/prod.py wsdeploy.unlock

    For a run that has ended without releasing it, such as one of a machine that is gone. One that
    is still at work ends at its next change.
    """
    if cluster := host.data.get("cluster"):
        yield from break_lock(cluster)
        return
    if state.is_executing:
        request: BreakLock = {
            "action": "break",
            "name": host.data.settings.name,
            "by": owner.name(),
        }
        answer = lock.ask(ctx_host.get(), request)  # type: ignore[no-untyped-call]
        if answer is None:
            yield failure("the host did not answer")
            return
        before = answer.get("before")
        if before is None or plan.is_free(before):
            host.log("nobody has the lock")
        else:
            host.log(f"the lock is free now; {plan.described(before)}")
