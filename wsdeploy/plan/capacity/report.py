"""What `wsdeploy.capacity` says of hosts and of the fleet, in lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

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


def to_json(target: Target, measured: Measured) -> dict[str, Any]:
    """Return what a host holds for programs that read what a run prints."""
    running = all(getattr(measured, role) for role in roles(target))
    limits = model.found(target, measured) if running else []
    return {
        "cores": measured.limits["processors"],
        "memory": measured.limits["memory"],
        "clients": measured.clients,
        "holds": limits[0].clients if limits else None,
        "limits": [asdict(limit) for limit in limits],
    }


def roles(target: Target) -> tuple[str, ...]:
    """Return what a host has to run."""
    return target.settings.topology.roles(target.host)


def fleet(settings: Settings, measured: Mapping[str, Measured]) -> Iterator[str]:
    """Yield what the hosts that were asked hold together, and without the one that holds most."""
    held, topology = _held(settings, measured), settings.topology
    for tier, found in together(settings, measured).items():
        if found["hosts"] > 1:
            yield (
                f"{found['hosts']} {tier} hold {found['holds']:,} clients together, "
                f"{found['without_largest']:,} without the largest"
            )
    unasked = [host for host in (*topology.app, *topology.proxy) if host not in held]
    if unasked:
        yield f"not counted: {', '.join(dict.fromkeys(unasked))}"


def together(settings: Settings, measured: Mapping[str, Measured]) -> dict[str, dict[str, int]]:
    """Return for each tier how many hosts were counted and what they hold together."""
    held, topology = _held(settings, measured), settings.topology
    tiers = {"hosts": topology.app} if topology.alone else {
        "proxies": topology.proxy, "app hosts": topology.app
    }  # fmt: skip
    found = {}
    for tier, hosts in tiers.items():
        each = [held[host] for host in hosts if host in held]
        most = max(each, default=0)
        found[tier] = {
            "hosts": len(each), "holds": sum(each), "without_largest": sum(each) - most
        }  # fmt: skip
    return found


def _held(settings: Settings, measured: Mapping[str, Measured]) -> dict[str, int]:
    """Return how many clients each host holds that was asked and runs all that it should."""
    targets = {host: it.target(settings, host) for host, it in measured.items()}
    return {
        host: model.found(targets[host], it)[0].clients
        for host, it in measured.items()
        if all(getattr(it, role) for role in roles(targets[host]))
    }


def _counted(number: int, noun: str, plural: str = "s") -> str:
    return f"{number:,} {noun}{plural if number != 1 else ''}"
