"""What `wsdeploy.capacity` says of hosts and of the fleet, in lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wsdeploy.plan.capacity import model
from wsdeploy.plan.capacity.usage import SEEN_LEAST, Measured
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings


def lines(target: Target, measured: Measured) -> Iterator[str]:
    """Yield what to say of a host: what it has, what it holds, and each limit with its remedy."""
    cores, memory = measured.limits["processors"], measured.limits["memory"]
    has = [_counted(cores, "core"), f"{memory / model.GIB:.1f} GiB of memory"]
    if target.is_app:
        has.append(_counted(target.processes, "process", "es"))
    has.append(f"{_counted(measured.clients, 'client')} now")
    yield ", ".join(has)
    missing = [role for role in roles(target) if getattr(measured, role) is None]
    if missing:
        yield f"{' and '.join(missing)} not running here; deploy first"
        return
    limits = model.found(target, measured)
    yield f"holds {_counted(limits[0].clients, 'client')}"
    width = len(f"{limits[-1].clients:,}")
    for limit in limits:
        yield f"  {limit.clients:>{width},}  {limit.what} -> {limit.remedy}"
    if not measured.cores_per_client:
        known = measured.cores_per_client is not None
        why = "clients do nothing" if known else f"there are fewer than {SEEN_LEAST} clients"
        yield f"  {'?':>{width}}  cores: {why} now -> ask again while they are busy"


def roles(target: Target) -> tuple[str, ...]:
    """Return what a host has to run."""
    return target.settings.topology.roles(target.host)


def fleet(settings: Settings, measured: Mapping[str, Measured]) -> Iterator[str]:
    """Yield what the hosts that were asked hold together, and without the one that holds most."""
    targets = {host: it.target(settings, host) for host, it in measured.items()}
    held = {
        host: model.found(targets[host], it)[0].clients
        for host, it in measured.items()
        if all(getattr(it, role) for role in roles(targets[host]))
    }
    topology = settings.topology
    tiers = {"hosts": topology.app} if topology.alone else {
        "proxies": topology.proxy, "app hosts": topology.app
    }  # fmt: skip
    for tier, hosts in tiers.items():
        each = [held[host] for host in hosts if host in held]
        if len(each) > 1:
            yield (
                f"{len(each)} {tier} hold {sum(each):,} clients together, "
                f"{sum(each) - max(each):,} without the largest"
            )
    unasked = [host for host in (*topology.app, *topology.proxy) if host not in held]
    if unasked:
        yield f"not counted: {', '.join(dict.fromkeys(unasked))}"


def _counted(number: int, noun: str, plural: str = "s") -> str:
    return f"{number:,} {noun}{plural if number != 1 else ''}"
