"""The lock of a service in a cluster: a Lease that its holder renews. Pure."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wsdeploy.cluster import found
from wsdeploy.cluster.manifest import Object
from wsdeploy.plan.summary import readable
from wshost.requests import Process

DURATION = 60
"""Seconds after which a lock that nobody renews is taken over."""
RENEW = 15
"""Seconds between two renewals."""
CERTAIN = 600
"""Seconds without a renewal that no difference between two machines' clocks explains."""
RUN, PROCESS = "wsdeploy/run", "wsdeploy/process"


@dataclass(frozen=True)
class Holder:
    """A run that has, or wants, the lock."""

    name: str
    """As user@machine."""
    run: str
    process: Process


def name(service: str) -> str:
    """Return the Lease's name."""
    return f"{service}-deploy"


def lease(
    service: str, namespace: str, holder: Holder | None, now: float, before: Object | None = None
) -> Object:
    """Return the Lease as a holder has it, or as it is when nobody does.

    before: as it is now, which must still be so when it is replaced.
    """
    metadata: Object = {
        "name": name(service),
        "namespace": namespace,
        "labels": {found.NAME: service, found.MANAGED: found.MANAGER},
    }
    spec: Object = {"leaseDurationSeconds": DURATION}
    if before is not None:
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
    if holder is not None:
        process = json.dumps(holder.process, sort_keys=True)
        metadata["annotations"] = {RUN: holder.run, PROCESS: process}
        mine = before is not None and is_held_by(before, holder)
        since = before["spec"].get("acquireTime") if before is not None and mine else None
        spec |= {
            "holderIdentity": holder.name,
            "acquireTime": since or time_text(now),
            "renewTime": time_text(now),
        }
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": spec,
    }


def time_text(seconds: float) -> str:
    """Return a time as Leases have it."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def is_free(there: Object | None) -> bool:
    """Tell whether nobody has the lock."""
    return there is None or not (there.get("spec") or {}).get("holderIdentity")


def is_held_by(there: Object | None, holder: Holder) -> bool:
    """Tell whether a run has the lock."""
    return not is_free(there) and there is not None and found.annotation(there, RUN) == holder.run


def silence(there: Object, now: float) -> float:
    """Return for how many seconds its holder has not renewed the lock, by our own clock."""
    try:
        renewed = datetime.datetime.fromisoformat(there["spec"]["renewTime"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return CERTAIN
    return now - renewed


def is_left(there: Object, is_gone: Callable[[Process], bool]) -> bool:
    """Tell whether the holder is a run of this machine that is gone."""
    try:
        process: Any = json.loads(found.annotation(there, PROCESS) or "null")
        return bool(process) and is_gone(process)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def described(there: Object) -> str:
    """Return who has the lock, since when."""
    spec = there["spec"]
    since = str(spec.get("acquireTime") or "").partition(".")[0].replace("T", " ")
    return readable(f"{spec.get('holderIdentity')} has had the lock since {since} UTC")


def refusal(there: Object, now: float) -> str:
    """Return what a run is told that can't have the lock."""
    ago = max(0, silence(there, now))
    return (
        f"another run is at work: {described(there)} (renewed {ago:.0f} s ago); wait for its end, "
        f"or if it is gone, until {DURATION} s have passed"
    )
