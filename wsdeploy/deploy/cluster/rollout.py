"""Wait for new pods, and say what is wrong with them."""

from __future__ import annotations

import time
from collections.abc import Callable

from pyinfra.context import host

from wsdeploy.cluster import found
from wsdeploy.cluster import rollout as plan
from wsdeploy.cluster.found import Found
from wsdeploy.cluster.rollout import Fault, Rollout
from wsdeploy.deploy.cluster.kubectl import Kubectl, KubectlError
from wsdeploy.plan.summary import readable

PAUSE = 1
"""Seconds between two looks, for up to FEW pods."""
FEW = 50
SILENCE = 60
"""Seconds for which a cluster may be silent while pods are waited for."""
LOG, EVENTS = 20, 5
"""Lines of a bad pod's log, and of what has happened to it, that are shown."""


class BadPodsError(Exception):
    """New pods do not serve; the message says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.cause)
        self.fault = fault


def look(kubectl: Kubectl, service: str) -> Found:
    """Return the pods of a service, and what they are made from. Raises KubectlError."""
    return Found(service, tuple(kubectl.get(found.PODS, service)))


def wait(
    kubectl: Kubectl,
    before: Found,
    name: str,
    tell: Callable[[Found, Rollout], None],
    check: Callable[[], None],
) -> Found:
    """Wait until a Deployment has new pods alone, and return the pods then.

    before: what was there before it changed. name: the Deployment's. tell: called at each look.
    check: raises what ends the wait.
    Raises BadPodsError as soon as they can't become ready, and KubectlError.
    """
    since: dict[tuple[str | None, str], float] = {}
    answered = progressed = time.monotonic()
    last: Rollout | None = None
    said = ""
    while True:
        check()
        try:
            there = look(kubectl, before.service)
        except KubectlError as error:
            if error.why != "unreachable" or time.monotonic() > answered + SILENCE:
                raise
            time.sleep(PAUSE)
            continue
        answered = time.monotonic()
        state = plan.look(there, name, before)
        tell(there, state)
        if state.done:
            return there
        if state != last:
            last, progressed = state, answered
        elif answered > progressed + plan.limit(there, name):
            raise BadPodsError(plan.stuck(there, name))
        since = {
            (each.pod, each.reason): since.get((each.pod, each.reason), answered)
            for each in state.faults
        }
        for each in state.faults:
            if each.at_once or answered > since[each.pod, each.reason] + plan.PATIENCE:
                raise BadPodsError(each)
        if state.seen and str(state) != said:
            said = str(state)
            host.log(said)
        time.sleep(PAUSE * max(1, len(there.of("Pod")) // FEW))


def explain(kubectl: Kubectl, fault: Fault) -> list[str]:
    """Return the last lines of a bad pod's log, and what has happened to it."""
    if fault.pod is None:
        return []
    lines = []
    try:
        if fault.container is not None and not fault.of_image:
            log = kubectl.logs(fault.pod, fault.container, LOG, previous=fault.restarted)
            lines += [f"the last lines of {fault.pod}:", *(f"  {each}" for each in log)]
        events = _events(kubectl, fault.pod)[-EVENTS:]
        lines += [f"what happened to {fault.pod}:"] if events else []
        lines += [f"  {each.get('reason')}: {' '.join(_text(each))}" for each in events]
    except KubectlError as error:
        lines.append(str(error))
    return [readable(each) for each in lines]


def cause(kubectl: Kubectl, fault: Fault) -> str:
    """Return why pods are bad, in the words of the probe if a node has ended one for that."""
    if fault.pod is None or not fault.ended:
        return fault.cause
    try:
        said = plan.complaint(_events(kubectl, fault.pod))
    except KubectlError:
        return fault.cause
    return f"pod {fault.pod}: {readable(said)}" if said else fault.cause


def _events(kubectl: Kubectl, pod: str) -> list[dict[str, object]]:
    return sorted(kubectl.events(pod), key=_time)


def _text(event: dict[str, object]) -> list[str]:
    return str(event.get("message") or "").split()


def _time(event: dict[str, object]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
