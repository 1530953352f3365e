"""Whose turn it is to change a fleet: what there is to say about a lock. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable

from wsdeploy.settings.topology import Topology
from wshost.requests import LockState, Process


def order(topology: Topology) -> tuple[str, ...]:
    """Return the hosts of a fleet in the order in which a run takes their locks."""
    return tuple(dict.fromkeys((*topology.app, *topology.proxy)))


def is_free(lock: LockState | None) -> bool:
    """Tell whether nobody has a lock."""
    return lock is None or lock["until"] is not None


def abandoned(lock: LockState | None, is_gone: Callable[[Process], bool]) -> bool:
    """Tell whether a lock was left behind by a run of this machine that is gone."""
    return lock is not None and lock["until"] is None and is_gone(lock["process"])


def described(lock: LockState) -> str:
    """Return who has, or had, a lock, since when, and what that run was about to do last."""
    return (
        f"{lock['owner']} has had the lock since {_when(lock['since'])} "
        f"(process {lock['process']['pid']}, last step: {lock['step']})"
    )


def refusal(lock: LockState | None, host: str) -> str:
    """Return what a run is told that can't have the lock of a host."""
    if lock is None:
        return f"the lock of {host} is not as it was when this run looked at it; run it again"
    if lock["until"] is not None:
        return (
            f"{lock['owner']} has changed {host} since this run looked at it "
            f"(at {_when(lock['until'])}); run it again"
        )
    return (
        f"another run is at work on {host}: {described(lock)}; wait for its end, or if it is gone, "
        "run pyinfra -y INVENTORY wsdeploy.unlock"
    )


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
