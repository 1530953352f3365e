"""All that one run of pyinfra knows, and forgets at its end."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyinfra.api.state import BaseStateCallback, State
from pyinfra.context import ctx_state

from wsdeploy.cluster.status import ClusterStatus
from wsdeploy.plan.app.rollback import History
from wsdeploy.plan.capacity.usage import Measured
from wsdeploy.plan.host.survey import Request, Survey
from wsdeploy.plan.logs import Wanted
from wsdeploy.plan.summary import HostReport
from wsdeploy.release import git
from wshost.requests import Commit, LockState, StatusAnswer

if TYPE_CHECKING:
    from wsdeploy.deploy.cluster.session import Session


@dataclass
class Phase:
    """What is known of hosts, by their names in the inventory.

    A run is planned first, and executed then; what was seen in the first may have changed by the
    second.
    """

    surveys: dict[str, Survey] = field(default_factory=dict)
    host_certificates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Their certificates, for TLS between the tiers."""
    histories: dict[str, History] | None = None
    """Of all app hosts, once they were asked."""


@dataclass
class Lock:
    """The lock of the fleet, as far as this run has to do with it."""

    mutex: threading.Lock = field(default_factory=threading.Lock)
    held: dict[str, str] = field(default_factory=dict)
    """Hosts that this run has the lock of, and the service's name."""
    seen: dict[str, LockState | None] = field(default_factory=dict)
    """What the lock of a host was like when it was surveyed."""
    refusals: list[str] = field(default_factory=list)
    """Why this run can't have the lock, and the same again for each host that was told of it."""
    elsewhere: bool = False
    """Whether that is because another run has it."""


@dataclass
class Run(BaseStateCallback):
    """One run. It hangs on pyinfra's state, as what that calls back, and ends with it."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """An ID that no other run has."""
    planned: Phase = field(default_factory=Phase)
    executed: Phase = field(default_factory=Phase)
    lock: Lock = field(default_factory=Lock)
    with_programs: set[str] = field(default_factory=set)
    """Hosts that have the host programs, so that they need not be sent again."""
    processes: dict[str, int] = field(default_factory=dict)
    """How many processes of the app hosts have, or would have."""
    measured: dict[str, Measured] = field(default_factory=dict)
    """What hosts have said of their capacity."""
    statuses: dict[str, StatusAnswer | str] = field(default_factory=dict)
    """What hosts have said of what goes on on them, or why they have not."""
    requests: dict[str, Request] = field(default_factory=dict)
    """What hosts are asked by a survey, which takes longer to put together than to ask."""
    cluster_status: ClusterStatus | None = None
    """What a cluster has said of what goes on there."""
    logs: Wanted | None = None
    """What a run is to show of the logs of its hosts."""
    survey_locks: dict[str, threading.Lock] = field(default_factory=dict)
    """A lock for each host: while a run is planned, several may want to survey it at once."""
    history_lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while the histories of all app hosts are asked for."""
    reports: dict[str, HostReport] = field(default_factory=dict)
    """What is to be said of hosts at the end, by their names."""
    listening: dict[str, str] = field(default_factory=dict)
    """Which host tells its progress by lines that begin with which mark."""
    results: dict[str, Any] = field(default_factory=dict)
    """What a command has found out, for `--json`."""
    closing: list[str] = field(default_factory=list)
    """What is to be said at the end of a run that has no hosts to speak of, or of one for a cluster
    that only looks or takes something away."""
    session: Session | None = None
    """What a run for a cluster knows."""
    served: dict[str, bool] = field(default_factory=dict)
    """Which app hosts had ever served the app when this run saw them first."""
    awaiting: set[str] = field(default_factory=set)
    """App hosts on which another generation is to serve."""
    release_commands: set[str] = field(default_factory=set)
    """The keys of the commands of releases that have run, on any host of this run."""
    together: set[str] = field(default_factory=set)
    """Hosts that got their first processes without waiting for another."""
    interrupted: bool = False
    """Whether Ctrl-C has ended the run."""
    verified: set[str] = field(default_factory=set)
    """Hosts on which a client has to be served at the end of the run."""
    commits: dict[str, Commit | None] = field(default_factory=dict)
    """What apps were at, by their paths, when this run asked first."""

    @property
    def phase(self) -> Phase:
        """What is known in the present phase."""
        return self.executed if ctx_state.get().is_executing else self.planned  # type: ignore[no-untyped-call]

    def report(self, host: str) -> HostReport:
        """Return what is known of a host so far."""
        return self.reports.setdefault(host, HostReport())

    def commit(self, path: str) -> Commit | None:
        """Return the commit that an app is at, the same throughout the run."""
        if path not in self.commits:
            self.commits[path] = git.commit(Path(path))
        return self.commits[path]


def has_changed_hosts() -> bool:
    """Tell whether any operation has sent a command to any host, be it the user's own."""
    state: State = ctx_state.get()  # type: ignore[no-untyped-call]
    return any(it.operation_meta.executed for ops in state.ops.values() for it in ops.values())


def current() -> Run:
    """Return the present run: pyinfra has one state for each."""
    state: State = ctx_state.get()  # type: ignore[no-untyped-call]
    for handler in state.callback_handlers:
        if isinstance(handler, Run):
            return handler
    made = Run()
    state.add_callback_handler(made)  # type: ignore[no-untyped-call]
    return made
