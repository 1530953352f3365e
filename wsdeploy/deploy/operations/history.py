"""What has served on the hosts, and how it serves again."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api.command import PyinfraCommand, StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host, state

from wsdeploy.deploy import facts, owner, run
from wsdeploy.deploy.operations.cluster import report_releases
from wsdeploy.deploy.operations.flow import failed_elsewhere, remaining_hosts
from wsdeploy.deploy.operations.send import change, failure
from wsdeploy.plan.app import rollback as plan
from wsdeploy.settings import Settings
from wshost.requests import Restore


@operation()
def restore(
    settings: Settings, action: str, to: str | None = None
) -> Generator[StringCommand, None, None]:
    """Let what has served before serve again, beside what does, and then in its place.

    action: `rollback` or `restart`. to: what to go back to, see wsdeploy.plan.app.rollback.targets.
    It is started, checked and switched to as a new generation is.
    """
    target = None
    if action == "rollback":
        try:
            found = plan.targets(facts.histories(settings), to)
        except plan.NoWayBackError as error:
            yield failure(str(error))
            return
        target = found.get(host.name)
        if target is None:
            host.log("stays on what it serves")
            return
    if failed := failed_elsewhere(settings):
        yield failure(f"{failed} is unhealthy; {host.name} was left as it is")
        return
    if target:
        run.current().report(host.name).processes = target.processes
        host.log(
            f"back to generation {target.generation} (release {target.release}); "
            "the next deploy.py brings what the settings describe"
        )
    request: Restore = {
        "name": settings.name,
        "restore": target.generation if target else None,
        "by": owner.name(),
        "later": [*remaining_hosts(settings)],
    }
    yield change("rollout.restore", request, serves=target.serving() if target else None)


@operation()
def releases() -> Generator[PyinfraCommand, None, None]:
    """Show what has served on each app host, the newest first. Changes nothing.

    pyinfra -y inventories/prod.py wsdeploy.releases
    pyinfra -y --json inventories/prod.py wsdeploy.releases | jq .wsdeploy.releases
    """
    if cluster := host.data.get("cluster"):
        yield from report_releases(cluster)
        return
    settings = host.data.settings
    if state.is_executing and host.name in settings.topology.app:
        history = facts.histories(settings)[host.name]
        run.current().results.setdefault("releases", {})[host.name] = history.to_json()
        for line in plan.listing(history):
            host.log(line)
    yield from ()
