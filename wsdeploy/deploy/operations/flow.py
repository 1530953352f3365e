"""Order among hosts."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from pyinfra.api.operation import operation
from pyinfra.context import host, state

from wsdeploy.plan.app import rollout_order as plan
from wsdeploy.settings import Settings


@operation()
def barrier() -> Generator[str, None, None]:
    """Let no host go on before all hosts have come this far. Costs nothing and changes nothing.

    pyinfra runs the operations of hosts with different roles in an order of its own; an operation
    that is there on every host is what it can't move others across.
    """
    yield from ()


def rollout_order(settings: Settings) -> Iterator[None]:
    """Yield once, when the current host is the next to change what serves.

    The first app host of the inventory comes alone, then the others, `hosts_at_once` at a time and
    in the inventory's order. What is called in a `for` over this is an operation of its own for
    each batch, and pyinfra sorts those by the position in `host.loop`; with `_serial` it would take
    the hosts in an order that differs from run to run, and go on after a failure.
    """
    for hosts in host.loop(_batches(settings)):  # type: ignore[no-untyped-call]
        if host.name in hosts:
            yield


def remaining_hosts(settings: Settings) -> tuple[str, ...]:
    """Return the hosts of this run that come after the current host in the rollout order."""
    batches = _batches(settings)
    own = next((number for number, hosts in enumerate(batches) if host.name in hosts), len(batches))
    return tuple(name for hosts in batches[own + 1 :] for name in hosts)


def failed_elsewhere(settings: Settings) -> str | None:
    """Return an app host on which this run has failed already, or None.

    config.py ends a run at the first failure; but `--fail-percent` may say otherwise, and that
    would carry a bad release to all hosts.
    """
    failed = {other.name for other in state.failed_hosts}
    return next((name for name in settings.topology.app if name in failed), None)


def _batches(settings: Settings) -> list[tuple[str, ...]]:
    connected = {other.name for other in state.activated_hosts}
    names = [name for name in settings.topology.app if name in connected]
    return plan.batches(names, settings.hosts_at_once)
