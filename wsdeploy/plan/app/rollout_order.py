"""The order in which hosts change what serves. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wsdeploy.plan.host import paths
from wsdeploy.plan.target import Target


def batches(hosts: Sequence[str], at_once: int) -> list[tuple[str, ...]]:
    """Return the hosts that change together: the first one alone, then `at_once` at a time.

    >>> batches(["a", "b", "c", "d"], 2)
    [('a',), ('b', 'c'), ('d',)]
    """
    others = hosts[1:]
    groups = [others[i : i + at_once] for i in range(0, len(others), at_once)]
    return [tuple(group) for group in (hosts[:1], *groups) if group]


def has_served(target: Target) -> bool:
    """Tell whether a host serves the app, or did before something stopped it."""
    name, known = target.name, target.survey.paths
    # The first link is gone after a boot, until Supervisor starts.
    return any(known.get(link) for link in (paths.sockets(name, "current"), f"/srv/{name}/current"))


def is_first_run(hosts: Sequence[str], served: Mapping[str, bool]) -> bool:
    """Tell whether none of a fleet's app hosts has ever served anybody.

    Then there is nobody whom a bad release could disconnect, and hosts need not take turns.
    served: what is known of the hosts of this run. A host that is no part of it may have clients.
    """
    return all(served.get(host) is False for host in hosts)
