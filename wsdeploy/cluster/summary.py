"""What is said at the end of a run for a cluster, in the words of a run for hosts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from wsdeploy.command_line import Action
from wsdeploy.plan.summary import (
    CAUSE,
    CHANGES,
    UNKNOWN,
    Seen,
    described,
    known,
    readable,
    shortened,
)
from wshost.requests import Serving


@dataclass
class Report:
    """What a run has seen of a service in a cluster, and done to it."""

    before: Seen = UNKNOWN
    """What served when the run looked first."""
    now: Seen = UNKNOWN
    pods: int = 0
    """How many of the app's pods there are to be."""
    drain: float = 0
    """Seconds over which a pod that ends closes its connections."""
    changed: list[str] = field(default_factory=list)
    """Objects that were changed, by kind and name."""
    wrote: str | None = None
    """The file that the image was written to, which nodes have to have before pods can run it."""
    cause: str | None = None
    """Why the run failed."""
    rolling: str | None = None
    """How far new pods have come, while they are waited for."""
    replaced: bool = False
    """Whether old pods may have been told to end."""
    refused: bool = False
    """Whether another run has the lock."""
    left: str | None = None
    """What a run that failed has left, and how to look at it."""

    @property
    def switched(self) -> bool:
        """Whether something else serves than before."""
        return self.now is not UNKNOWN and self.now != self.before


@dataclass
class ClusterOutcome:
    """A run for a cluster, as it ended."""

    action: Action
    name: str
    namespace: str
    address: str
    inventory: str
    command: str
    report: Report
    began: bool = True
    dry: bool = False
    interrupted: bool = False
    failed: bool = False

    def to_json(self) -> dict[str, object]:
        """Return what programs may want to know of it."""
        report = self.report
        return {
            "action": self.action,
            "service": self.name,
            "address": self.address,
            "failed": self.failed,
            "cluster": {
                "namespace": self.namespace,
                **{
                    when: serves
                    for when, serves in (("before", report.before), ("now", report.now))
                    if serves is not UNKNOWN
                },
                "pods": report.pods,
                "changed": report.changed,
                "wrote": report.wrote,
                "cause": report.cause,
            },
        }


def removed(name: str, namespace: str) -> list[str]:
    """Return what to say once a service is gone."""
    return [
        f"{name}: gone from namespace {namespace}",
        f"what is not wsdeploy's stays: namespace {namespace}, images, other Secrets",
    ]


def unlocked(name: str, before: str | None, inventory: str) -> list[str]:
    """Return what to say once nobody has the lock. before: who had it, since when."""
    if before is None:
        return [f"{name}: nothing to do; nobody has the lock"]
    return [
        f"{name}: the lock is free now; {before}",
        f"next: pyinfra -y {inventory} wsdeploy.releases shows what serves; look first",
    ]


def shown(
    name: str, address: str, live: Serving | None, previous: int | None, inventory: str
) -> list[str]:
    """Return what to say once revisions were shown. previous: the one that served before."""
    if live is None:
        return [f"{name}: nothing serves at {address}"]
    serves = f"{name}: {described(live)} ({live['generation']}) serves at {address}"
    back = f"next: pyinfra -y {inventory} wsdeploy.rollback brings revision {previous} back"
    return [serves, *([back] if previous is not None else [])]


def broken(name: str, namespace: str, cause: str, again: str) -> list[str]:
    """Return what to say of a run that has failed without touching what serves, or removing it."""
    return [
        f"{name}: failed in namespace {namespace}: {readable(shortened(cause, CAUSE))}",
        f"next: fix it and run {again}",
    ]


def lines(outcome: ClusterOutcome) -> list[str]:
    """Return what to say of a run at its end."""
    if not outcome.began:
        found = iter([f"{outcome.name}: nothing was changed"])
    elif outcome.interrupted:
        found = _interrupted(outcome)
    elif outcome.failed:
        found = _failed(outcome)
    else:
        found = _done(outcome)
    return [readable(line) for line in found]


def _done(outcome: ClusterOutcome) -> Iterator[str]:
    report = outcome.report
    if report.wrote:
        yield f"{outcome.name}: wrote the image to {report.wrote}; {_serves(outcome)}"
        load = f"load it on each node (ctr -n k8s.io images import {report.wrote})"
        yield f"next: {load}, then {_pyinfra(outcome)}"
        return
    if not report.changed:
        yield f"{outcome.name}: nothing to do"
        yield _serves(outcome)
        return
    yield f"{outcome.name}: {_serves(outcome)}"
    before = report.before
    if outcome.action == "restart":
        yield f"its pods were started anew; {_closing(outcome)}"
        return
    if not report.switched:
        what = f"changed: {_changes(report.changed)}"
        yield f"{what}; {_closing(outcome)}" if report.replaced else what
        return
    if known(before) is None:
        yield "before: nothing; it is the first release there"
        return
    yield f"before: {_described(before, report.now)}; {_closing(outcome)}"
    if next_step := _next(outcome, before):
        yield f"next: {next_step}"


def _next(outcome: ClusterOutcome, before: Seen) -> str | None:
    first, now = known(before), known(outcome.report.now)
    if first is None or now is None:
        return None
    same = first["release"] == now["release"]
    what = first["generation"] if same else first["release"]
    if outcome.action == "deploy":
        return f"{_pyinfra(outcome, 'wsdeploy.rollback')} brings {what} back"
    if " " in outcome.command:
        # With `to`, it may have gone forwards.
        return "let the code and the inventory say the same; the next deploy brings what they say"
    if same:
        return f"revert the settings, too; else the next deploy brings {what} again"
    return f"revert {what} in the code, too; else the next deploy brings it again"


def _described(before: Seen, now: Seen) -> str:
    first, second = known(before), known(now)
    if first and second and first["release"] == second["release"]:
        return f"the same with other settings ({first['generation']})"
    return described(before)


def _closing(outcome: ClusterOutcome) -> str:
    return f"old pods close their clients over {outcome.report.drain:.0f} s"


def _failed(outcome: ClusterOutcome) -> Iterator[str]:
    report = outcome.report
    cause = shortened(report.cause, CAUSE) if report.cause else "why is said above"
    yield f"{outcome.name}: failed in namespace {outcome.namespace}: {cause}"
    first = report.before is not UNKNOWN and known(report.before) is None
    # Its pods may be ready, and nothing lets clients in.
    serves = f"nothing serves at {outcome.address} yet" if first else _serves(outcome)
    unnoticed = not (report.replaced or first) and known(report.now) is not None
    yield f"{serves}; no client was closed" if unnoticed else serves
    if report.left:
        yield report.left
    if report.refused:
        again = _pyinfra(outcome)
        if outcome.action == "rollback":
            again = "look at wsdeploy.releases first"
        yield f"next: when that has ended, {again}; if it is gone, wsdeploy.unlock"
    elif outcome.action == "rollback":
        yield f"next: {_pyinfra(outcome, 'wsdeploy.releases')} shows what serves; look first"
    else:
        yield f"next: fix it and run {_pyinfra(outcome)}"


def _interrupted(outcome: ClusterOutcome) -> Iterator[str]:
    report = outcome.report
    yield f"{outcome.name}: interrupted; {_serves(outcome)}"
    if report.rolling:
        yield f"the cluster goes on by itself: {report.rolling}"
    if outcome.action == "deploy":
        yield f"next: {_pyinfra(outcome)} does what is left to do"
    else:
        yield f"next: {_pyinfra(outcome, 'wsdeploy.releases')} shows what serves; look first"


def _serves(outcome: ClusterOutcome) -> str:
    report = outcome.report
    if report.now is UNKNOWN:
        return f"what served at {outcome.address} goes on as it was"
    if known(report.now) is None:
        return f"nothing serves at {outcome.address} yet"
    if outcome.failed or outcome.interrupted:
        verb = "serves" if report.switched else "goes on serving"
        return f"{described(report.now)} {verb} at {outcome.address}"
    pods = f"{report.pods} pod{'' if report.pods == 1 else 's'}"
    return f"{described(report.now)} serves at {outcome.address} from {pods}"


def _changes(changed: Sequence[str]) -> str:
    more = f"; and {len(changed) - CHANGES} more" if len(changed) > CHANGES else ""
    return "; ".join(changed[:CHANGES]) + more


def _pyinfra(outcome: ClusterOutcome, command: str = "") -> str:
    option = "--dry" if outcome.dry and not command else "-y"
    return f"pyinfra {option} {outcome.inventory} {command or outcome.command}"
