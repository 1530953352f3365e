"""A run for a cluster: what it looks at, what it changes, and how that is put back."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyinfra import logger
from pyinfra.api.host import Host
from pyinfra.api.state import BaseStateCallback, State
from pyinfra.context import ctx_state, host

from wsdeploy import command_line
from wsdeploy.cluster import changes, fields, found, history, network, objects, release, summary
from wsdeploy.cluster import lease as lease_plan
from wsdeploy.cluster import rollout as rollout_plan
from wsdeploy.cluster.changes import Change, DroppedError, ForeignError, MissingError
from wsdeploy.cluster.found import KINDS, PODS, Found, key
from wsdeploy.cluster.manifest import Object
from wsdeploy.cluster.release import Plan
from wsdeploy.cluster.rollout import Rollout
from wsdeploy.cluster.summary import Report
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.deploy import owner, run
from wsdeploy.deploy.cluster import handshake, rollout
from wsdeploy.deploy.cluster import image as images
from wsdeploy.deploy.cluster.handshake import HandshakeError
from wsdeploy.deploy.cluster.image import NoImageError, NoSkopeoError, Registry
from wsdeploy.deploy.cluster.kubectl import Kubectl, KubectlError
from wsdeploy.deploy.cluster.lock import Lock, RefusedError
from wsdeploy.deploy.cluster.rollout import BadPodsError
from wsdeploy.image import contents
from wsdeploy.plan.app.rollback import NoWayBackError
from wsdeploy.plan.host.render import RenderError
from wsdeploy.plan.summary import known
from wsdeploy.settings.cluster import Replicas
from wsdeploy.settings.secret_values import SecretError

if TYPE_CHECKING:
    from wsdeploy.inventory.clusters import Cluster

ERRORS = (
    BadPodsError,
    DroppedError,
    ForeignError,
    HandshakeError,
    KubectlError,
    MissingError,
    NoImageError,
    NoWayBackError,
    RefusedError,
    RenderError,
    SecretError,
)
"""What ends a run for a cluster with a line."""

ENDS_LATER = 30
"""Seconds after a pod's own time to end by which it is certainly gone."""


class _Release(BaseStateCallback):
    @staticmethod
    def host_disconnect(state: State, host: Host) -> None:
        session = run.current().session
        if session is not None:
            session.lock.release()


@dataclass
class Session:
    """A service in a cluster, for one run."""

    cluster: Cluster
    kubectl: Kubectl
    lock: Lock
    report: Report = field(default_factory=Report)
    planned: Plan | None = None
    """What was to be done when the run was planned."""
    executed: Plan | None = None
    """What is, since this run has the lock."""
    digest: str | None = None
    """Of the image, once this run has found or pushed it."""
    to_build: bool = False
    """Whether the image has to be built."""
    applied: list[Change] = field(default_factory=list)
    """What this run has changed, and may have to put back."""
    scalers: list[Object] = field(default_factory=list)
    """Autoscalers that this run has deleted, and may have to put back."""
    undoes: bool = True
    """Whether a failure does that."""
    _kinds: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The service's name."""
        return self.cluster.settings.name

    @property
    def plan(self) -> Plan:
        """What is to be done, by the latest look."""
        found = self.executed or self.planned
        assert found is not None
        return found

    def changes_nothing(self) -> bool:
        """Tell whether nothing was to be done when the run was planned."""
        assert self.planned is not None
        planned = self.planned
        return not (planned.changes or planned.leftovers or planned.is_unfinished)

    # Looking

    def look(self) -> Found:
        """Return all objects of the service, and note what serves."""
        if not self._kinds:
            self.kubectl.version()
            known = self.kubectl.resources()
            self._kinds = [each for each in (*KINDS.values(), *PODS[1:]) if each in known]
            self._kinds += [each for each in ("controllerrevisions.apps",) if each in known]
        there = Found(self.name, tuple(self.kubectl.get(self._kinds, self.name, fields=True)))
        self.note(there, first=not self.applied)
        return there

    def note(self, there: Found, *, first: bool = False) -> None:
        """Note what serves. first: before this run has changed anything."""
        live = there.live(self.name)
        self.report.now = found.serving(live) if live else None
        if first:
            self.report.before = self.report.now
        deployment = there.deployment(self.name)
        self.report.pods = int(deployment["spec"].get("replicas", 1)) if deployment else 0

    def make_plan(self) -> Plan:
        """Look, and return what is to be done. Raises one of ERRORS."""
        settings = self.cluster.settings
        there, target = self.look(), self._target()
        kept = release.image_there(target, there)
        digest = (kept.partition("@")[2] or None) if kept else self.digest
        target = replace(target, digest=digest)
        secret = objects.secret(target)
        every = [*([secret] if secret else []), *objects.objects(target)]
        needed = [*objects.needed_secrets(target)]
        # By name, whoever has made them.
        named = self.kubectl.there([*every, *(each for each, _ in needed)])
        there = found.merged(self.name, there.objects, named)
        self.check_domain(there)
        changes.check(every, there, take_over=settings.take_over)
        changes.check_secrets(needed, there)
        commit = run.current().commit(settings.app.path)
        wanted = release.prepared(target, every, there, commit)
        planned = self.kubectl.apply(wanted, dry=True)
        changes.check_fields(wanted, planned)
        return Plan(there, wanted, tuple(changes.changes(wanted, there, planned)))

    def check_domain(self, there: Found) -> None:
        """Raise ForeignError if the service of this name is another project's."""
        settings = self.cluster.settings
        changes.check_domain(there, settings.domain, take_over=settings.take_over)

    def _target(self) -> ClusterTarget:
        return contents.target(self.cluster.settings, self.cluster.kubernetes)

    # The image

    @property
    def image_file(self) -> Path:
        """Where the image is written to if there is no registry."""
        return Path.cwd() / images.file_name(self._target())

    def look_for_image(self) -> str | None:
        """See whether the image is there, and return what is to be done about it, or None.

        Raises NoImageError.
        """
        assert self.planned is not None
        target = self._target()
        if release.image_there(target, self.planned.there):
            return None
        if target.kubernetes.image.registry is None:
            self.to_build = not self.image_file.is_file()
            return f"write {self.image_file.name}" if self.to_build else None
        try:
            self.digest = self._registry().digest(target.image)
        except NoSkopeoError:
            host.log_styled(
                f"skopeo is not on this machine, so pods find out whether {target.image} is in "
                "its registry",
                fg="yellow",
                log_func=logger.warning,
            )
            return None
        self.to_build = self.digest is None
        return f"build and push {target.image}" if self.to_build else None

    def provide_image(self) -> None:
        """Build the image, and push it or write it to a file. Raises NoImageError."""
        target = self._target()
        if target.kubernetes.image.registry is not None:
            self.digest = images.push(target, self._registry())
            host.log(f"pushed {target.image}@{self.digest}")
            return
        path = self.image_file
        images.write(target, path)
        self.report.wrote = path.name

    def _registry(self) -> Registry:
        return Registry(plain=self.cluster.kubernetes.image.registry == "http")

    # Changing

    def guard(self) -> None:
        """Raise RefusedError if this run may not change anything any more."""
        if run.current().interrupted:
            raise RefusedError("interrupted")
        self.lock.check()

    def take_lock(self) -> None:
        """Take the lock. Raises RefusedError and KubectlError."""
        if not any(isinstance(each, _Release) for each in ctx_state.get().callback_handlers):  # type: ignore[no-untyped-call]
            ctx_state.get().add_callback_handler(_Release())  # type: ignore[no-untyped-call]
        try:
            self.lock.take()
        except RefusedError:
            self.report.refused = True
            raise

    def apply(self, wanted: Sequence[Change]) -> None:
        """Apply changes, which are put back if the run fails."""
        if not wanted:
            return
        self.guard()
        # Of some that fail, others may be there.
        self.applied += wanted
        self.kubectl.apply([each.wanted for each in wanted])
        titles = [each.title for each in wanted]
        self.report.changed += [each for each in titles if each not in self.report.changed]

    def apply_pods(self, change: Change) -> None:
        """Apply the Deployment of the app, and wait for its pods."""
        if release.makes_pods(change):
            previous = release.previous(self.plan.there, change.after)
            change = replace(change, wanted=_noted(change.wanted, previous))
        # What fails before anything is applied puts no autoscaler back.
        self.guard()
        # An autoscaler that is to go would change the number once more.
        self.scalers = [e for e in self.plan.leftovers if e["kind"] in found.SCALERS]
        self.kubectl.delete(self.scalers)
        self.apply([change])
        self.wait(self.name)

    def finish_pods(self) -> None:
        """Wait for the pods of an earlier run, which did not see its end.

        If they are bad, what served is put back, as that run would have done.
        """
        deployment = self.plan.there.deployment(self.name)
        assert deployment is not None
        host.log("an earlier run did not see the end of its rollout: this one does")
        self.guard()
        self.applied.append(Change(fields.ours(deployment), deployment, deployment))
        self.wait(self.name, Found(self.name))
        self.report.changed.append(f"the rollout of Deployment {self.name}")

    def apply_rest(self) -> None:
        """Apply all that comes after the app's pods, and wait for those of proxies."""
        rest = self.plan.of("after")
        proxies = [each for each in rest if key(each.wanted)[0] == "Deployment"]
        closing = [e for e in rest if e.before and e.wanted["kind"] == changes.AT_LAST]
        doors = [each for each in rest if key(each.wanted)[0] in changes.LAST]
        self.apply([each for each in rest if each not in doors and each not in closing])
        for each in proxies:
            self.wait(key(each.wanted)[1])
        self.apply(doors)
        if closing:
            # Who comes in by the way before is refused from then on.
            self.handshake()
        self.apply(closing)

    def wait(self, name: str, before: Found | None = None) -> None:
        """Wait until a Deployment has new pods alone. Raises BadPodsError and KubectlError.

        before: what was there before it changed, if that was not at the latest plan.
        """

        def tell(there: Found, state: Rollout) -> None:
            if name == self.name:
                self.note(there)
                # From the first that serves on, old ones are told to end.
                self.report.replaced = self.report.replaced or bool(state.available and state.old)
            self.report.rolling = f"{name} has {state}"

        rollout.wait(self.kubectl, before or self.plan.there, name, tell, self.guard)
        self.report.rolling = None
        if name == self.name and known(self.report.before):
            self.report.replaced = True

    def handshake(self) -> None:
        """Be a client. Raises HandshakeError, KubectlError and BadPodsError."""
        settings, kubernetes = self.cluster.settings, self.cluster.kubernetes
        doors = (*changes.LAST, "Service")
        new = any(each.before is None and key(each.wanted)[0] in doors for each in self.applied)
        note: str | None = "not tried, as Kubernetes(handshake=False) says"
        if kubernetes.handshake:
            note = handshake.check(settings, kubernetes, self.kubectl, host.log, new=new)
        if note:
            host.log_styled(note, fg="yellow", log_func=logger.warning)
        if self.applied:
            self.check_pods()

    def check_pods(self) -> None:
        """Raise BadPodsError if a new pod has ended since it was ready."""
        there = rollout.look(self.kubectl, self.name)
        for fault in rollout_plan.look(there, self.name, self.plan.there).faults:
            if fault.at_once:
                raise BadPodsError(fault)

    def prune(self, leftovers: Sequence[Object]) -> None:
        """Delete objects that are not wanted any more."""
        # The release serves by now, whatever becomes of these.
        self.undoes = False
        self.guard()
        self.kubectl.delete(leftovers)
        self.report.changed += [f"{' '.join(key(each))} gone" for each in leftovers]

    # Failing

    def fail(self, error: Exception) -> None:
        """Say why the run fails, and put back what it has changed."""
        cause = str(error)
        if isinstance(error, BadPodsError):
            for line in rollout.explain(self.kubectl, error.fault):
                host.log_styled(line, fg="red", log_func=logger.error)
            cause = rollout.cause(self.kubectl, error.fault)
            if error.fault.of_image:
                cause += self._image_hint()
        self.report.cause = self.report.cause or cause
        if command_line.command(sys.argv[1:]) is None:
            again = f"pyinfra {' '.join(map(shlex.quote, sys.argv[1:]))}"
            run.current().closing = summary.broken(self.name, self.kubectl.namespace, cause, again)
        host.log_styled(cause, fg="red", log_func=logger.error)
        if run.current().interrupted or not (self.applied and self.undoes):
            return
        try:
            self._undo()
        except ERRORS as problem:
            self.report.left = f"it could not be put back as it was: {problem}"

    def _image_hint(self) -> str:
        image = self.cluster.kubernetes.image
        if image.registry is None:
            return f"; load {self.image_file.name} on each node"
        return "; wsdeploy image builds it, and skopeo pushes it"

    def _undo(self) -> None:
        there = self.plan.there
        if there.live(self.name) is None:
            look = self.kubectl.command(f"describe pods -l {found.NAME}={self.name}")
            self.report.left = f"what there is of it stays: {look}; wsdeploy.remove takes it away"
            return
        host.log("putting it back as it was")
        self.guard()
        replaced = self.report.replaced
        failing = rollout.look(self.kubectl, self.name)
        last = {key(each.wanted): each for each in self.applied}
        before = [
            self._before(each.before, each.wanted, failing)
            for each in last.values()
            if each.before is not None
        ]
        before += map(fields.ours, self.scalers)
        # As on the way there, pods of both are reached while both are there.
        closing = [each for each in before if each["kind"] == changes.AT_LAST]
        both = [network.widened(each, last[key(each)].wanted) for each in closing]
        if before:
            self.kubectl.apply([*(e for e in before if e not in closing), *both])
        for each in before:
            if each["kind"] == "Deployment":
                self.wait(each["metadata"]["name"], failing)
        if closing:
            self.kubectl.apply(closing)
        self.report.replaced = replaced
        after = self.look()
        before_run = {key(each) for each in there.objects}
        failed = [
            each
            for each in after.of("ReplicaSet")
            if key(each) not in before_run
            and not each["spec"].get("replicas")
            and each is not after.current(found.owner(each, "Deployment") or "")
        ]
        self.kubectl.delete(failed)
        # What the failed pods were made from goes with them.
        gone = {key(each) for each in failed}
        left = Found(self.name, tuple(e for e in after.objects if key(e) not in gone))
        named = {*changes.named(left, pods=False)}
        new = [each.wanted for each in self.applied if each.before is None]
        self.kubectl.delete([each for each in new if key(each) not in named])
        self.report.changed.clear()
        first, now = known(self.report.before), known(self.report.now)
        if first and now and first["release"] == now["release"]:
            # The cluster counts it as another revision.
            self.report.now = first

    def _before(self, live: Object, wanted: Object, failing: Found) -> Object:
        """Return an object as it was applied before this run; a Deployment, as what served.

        wanted: as this run has applied it. failing: what is there now.
        """
        there, before = self.plan.there, fields.ours(live)
        if key(live) == ("Deployment", self.name):
            serving, current = there.live(self.name), there.current(self.name)
            if serving is not None and serving is not current:
                before = fields.with_template(live, serving)
        if not release.has_replicas(wanted):
            return before
        # An autoscaler may have added some since.
        scales = isinstance(self.cluster.kubernetes.replicas, Replicas)
        now = failing.get(*key(live)) if scales else None
        return release.with_replicas(before, now or live)

    # What needs no release

    def go_back(self, to: str | None) -> None:
        """Let an earlier revision of the pods serve again. Raises one of ERRORS."""
        there = self.look()
        self.check_domain(there)
        record = history.target(there, to)
        deployment = there.deployment(self.name)
        replica_set = there.get("ReplicaSet", record.replica_set)
        if deployment is None or replica_set is None:
            raise NoWayBackError(f"there is no Deployment {self.name} of wsdeploy's; deploy first")
        self.executed = Plan(there, (), ())
        if record.state == "live" and there.current(self.name) is replica_set:
            host.log(f"revision {record.revision} serves already")
            return
        host.log(
            f"back to revision {record.revision} (release {record.release}); "
            "the next deploy.py brings what the settings describe"
        )
        wanted = fields.with_template(deployment, replica_set)
        wanted = _noted(wanted, release.previous(there, replica_set))
        self.apply([Change(wanted, deployment, wanted)])
        self.wait(self.name)

    def restart(self) -> None:
        """Replace all pods by others of the same release. Raises one of ERRORS."""
        there = self.look()
        self.check_domain(there)
        deployment = there.deployment(self.name)
        if deployment is None:
            raise NoWayBackError(f"there is no Deployment {self.name} of wsdeploy's; deploy first")
        self.executed = Plan(there, (), ())
        wanted = release.restarted(fields.ours(deployment), _now())
        live = there.live(self.name)
        wanted = _noted(wanted, live["metadata"]["name"] if live else None)
        self.apply([Change(wanted, deployment, wanted)])
        self.wait(self.name)

    def remove(self, there: Found) -> None:
        """Delete all objects of the service: pods first, which close their connections."""
        self.undoes = False
        first = [e for e in there.ours if e["kind"] in found.SCALERS]
        pods = [each for each in there.ours if key(each) == ("Deployment", self.name)]
        self.guard()
        self.kubectl.delete(first)
        self.kubectl.delete(pods)
        self._wait_for_end()
        self.guard()
        rest = [each for each in there.ours if each not in first and each not in pods]
        # Its pods have nobody any more.
        self.kubectl.delete(rest)
        self.lock.delete()
        run.current().closing = summary.removed(self.name, self.kubectl.namespace)

    def _wait_for_end(self) -> None:
        """Wait until the app's pods are gone, while what passes clients to them still does."""
        said, deadline = -1, 0.0
        while True:
            self.guard()
            left = [
                each
                for each in self.kubectl.get(["pods"], self.name)
                if found.component(each) == "app"
            ]
            if not left:
                return
            if not deadline:
                grace = max(int(e["spec"].get("terminationGracePeriodSeconds") or 30) for e in left)
                deadline = time.monotonic() + grace + ENDS_LATER
            if time.monotonic() > deadline:
                names = ", ".join(each["metadata"]["name"] for each in left[:3])
                raise KubectlError(f"{names} did not end in time; is its node there?")
            if len(left) != said:
                said = len(left)
                host.log(f"{said} pod{'' if said == 1 else 's'} closing connections")
            time.sleep(rollout.PAUSE)


def _noted(deployment: Object, previous: str | None) -> Object:
    """Return a Deployment with who lets it have other pods, when, and what served until then."""
    return changes.noted(deployment, by=owner.name(), since=_now(), previous=previous)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def current(cluster: Cluster) -> Session:
    """Return the session of the present run."""
    present = run.current()
    if present.session is None:
        settings, kubernetes = cluster.settings, cluster.kubernetes
        kubectl = Kubectl(kubernetes.namespace, kubernetes.context)
        # Without kubectl, whatever is asked first says so.
        with contextlib.suppress(KubectlError):
            kubectl = kubectl.pinned()
        # Before all else, so that whoever means another cluster sees it in time.
        context = f"context {kubectl.context}" if kubectl.context else "no context of kubectl's"
        host.log(f"{context}, namespace {kubectl.namespace}")
        holder = lease_plan.Holder(owner.name(), present.id, owner.process())
        present.session = Session(cluster, kubectl, Lock(kubectl, settings.name, holder))
        present.session.report.drain = settings.app.drain
    session: Session = present.session
    return session
