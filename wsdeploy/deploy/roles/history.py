"""Back to what served before, or the same again: for days on which the new release is bad."""

from __future__ import annotations

import sys

from pyinfra.api.deploy import deploy
from pyinfra.context import host

from wsdeploy.deploy.operations import barrier, restore, retire, rollout_order, take_lock
from wsdeploy.deploy.roles.cluster import change_again


@deploy("Rollback")
def rollback(to: object = None) -> None:
    """Go back to what served before the newest release, on one host after the other.

        pyinfra -y inventories/prod.py wsdeploy.rollback
        pyinfra -y inventories/prod.py wsdeploy.rollback to=0123456789ab

    to: a generation, or a revision in a cluster, or a release, as `wsdeploy.releases` shows them,
    to go further than one back.
    The next run of deploy.py brings the newest release again.
    """
    _again("rollback", None if to is None else _as_typed("to", to))


@deploy("Restart")
def restart() -> None:
    """Start all processes of the app anew, on one host after the other.

        pyinfra -y inventories/prod.py wsdeploy.restart

    They are started beside the old ones, as those of a new release are.
    """
    _again("restart")


def _as_typed(name: str, value: object) -> str:
    """Return an argument of the command line as it stands there.

    pyinfra makes numbers of what looks like one, and an ID can be 000123456789 or 12345678e012.
    """
    typed = [word.partition("=")[2] for word in sys.argv if word.startswith(f"{name}=")]
    return typed[-1] if typed else str(value)


def _again(action: str, to: str | None = None) -> None:
    if cluster := host.data.get("cluster"):
        change_again(cluster, action, to)
        return
    settings = host.data.settings
    take_lock(name="Lock", settings=settings)
    for _ in rollout_order(settings):
        restore(name="Processes", settings=settings, action=action, to=to)
    barrier(name="Every host serves it")
    if host.name in settings.topology.app:
        retire(name="Old processes", settings=settings, deployed=False)
