"""Who else is on a host: said before anything is changed."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import ctx_host, host, state

from wsdeploy.deploy import facts
from wsdeploy.deploy.operations.send import failure
from wsdeploy.plan.host import neighbours as plan
from wsdeploy.settings import Settings


@operation()
def neighbours(settings: Settings) -> Generator[StringCommand, None, None]:
    """End the run if something on a host is in its way; all such things together. Changes nothing.

    While a run is planned, that is for all hosts.
    """
    if not state.is_executing:
        found = []
        for each in [it for it in state.activated_hosts if settings.topology.roles(it.name)]:
            with ctx_host.use(each):
                lines = plan.findings(facts.target(settings))
            found += [f"  {each.name}: {line}" for line in lines]
        if found:
            yield failure("\n".join([_head(len(found)), *found]))
        return
    target = facts.target(settings)
    found = plan.findings(target)
    if found:
        yield failure("\n".join([_head(len(found)), *(f"  {line}" for line in found)]))
        return
    for note in plan.kept(target):
        host.log_styled(note, fg="yellow", log_func=logger.warning)
    host.noop("nothing is in the way")


def _head(count: int) -> str:
    return f"{count} thing{'s are' if count > 1 else ' is'} in the way; nothing was changed:"
