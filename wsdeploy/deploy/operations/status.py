"""What goes on on the hosts, asked in one exchange each."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, cast

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import operation
from pyinfra.context import ctx_host, host, state

from wsdeploy.deploy import run
from wsdeploy.deploy.asking import NoAnswerError, ask
from wsdeploy.deploy.cluster import session
from wsdeploy.deploy.cluster import status as cluster_status
from wsdeploy.deploy.operations.cluster import Steps, planned
from wsdeploy.plan import summary
from wsdeploy.plan.status import hosts
from wshost.requests import StatusAnswer

if TYPE_CHECKING:
    from wsdeploy.inventory.clusters import Cluster


@operation()
def status() -> Generator[PyinfraCommand, None, None]:
    """Show what goes on in the fleet on one screen: problems first, each with the way out.

        pyinfra inventories/prod.py wsdeploy.status
        pyinfra --json inventories/prod.py wsdeploy.status | jq .wsdeploy.status

    Changes nothing. Ends with 0 if all is well, with 1 if anything needs somebody, with 2 if the
    service is down.
    """
    if cluster := host.data.get("cluster"):
        yield from _of_cluster(cluster)
        return
    settings = host.data.get("settings")
    if state.is_executing and settings:
        statuses = run.current().statuses
        try:
            answer = ask(
                ctx_host.get(),  # type: ignore[no-untyped-call]
                "status.status",
                hosts.request(settings, host.name),
            )
            statuses[host.name] = cast("StatusAnswer", answer)
        except NoAnswerError as error:
            statuses[host.name] = summary.readable(str(error))
    yield from ()


@planned
def _of_cluster(cluster: Cluster) -> Steps:
    if state.is_executing:
        run.current().cluster_status = cluster_status.look(session.current(cluster))
    yield from ()
