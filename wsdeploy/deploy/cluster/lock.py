"""The lock of a service in a cluster: one run at a time changes anything.

It is a Lease, which is taken right before the first change, renewed while the run is at work, and
given back when pyinfra disconnects, however the run ends.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

import gevent  # type: ignore[import-untyped]
from pyinfra import logger
from pyinfra.context import host

from wsdeploy.cluster import lease as plan
from wsdeploy.cluster.lease import Holder
from wsdeploy.cluster.manifest import Object
from wsdeploy.deploy import owner
from wsdeploy.deploy.cluster.kubectl import Kubectl, KubectlError

SETTLE = plan.RENEW + 3
"""Seconds after which a holder that is alive has renewed the lock, whatever its clock says."""
KIND = "leases.coordination.k8s.io"


class RefusedError(Exception):
    """Another run has the lock; the message says whose it is and what to do."""


@dataclass
class Lock:
    """The lock of a service, as this run has it."""

    kubectl: Kubectl
    service: str
    holder: Holder
    held: Object | None = None
    """The Lease as it was when this run has written it last."""
    lost: str | None = None
    """Why this run does not have it any more."""
    _renewal: gevent.Greenlet | None = field(default=None, repr=False)

    def take(self) -> None:
        """Take it, unless this run has it. Raises RefusedError, and KubectlError."""
        if self.held is not None:
            return
        there = self._look()
        if there is not None and not plan.is_free(there):
            self._wait_for_sign(there)
        try:
            self.held = self._write(there)
        except KubectlError as error:
            if error.why not in ("exists", "conflict", "not found"):
                raise
            there = self._look()
            who = plan.refusal(there, time.time()) if there and not plan.is_free(there) else None
            raise RefusedError(who or "another run has just been at work; run it again") from None
        self._renewal = gevent.spawn(self._renew)

    def check(self) -> None:
        """Raise RefusedError if somebody has taken the lock away."""
        if self.lost:
            raise RefusedError(self.lost)

    def release(self) -> None:
        """Give it back, if this run has it."""
        if self._renewal is not None:
            self._renewal.kill()
        before, self.held = self.held, None
        if before is None or self.lost:
            return
        self.lost = "this run has given the lock back"
        try:
            self.kubectl.replace(self._lease(None, before))
        except KubectlError as error:
            logger.warning(f"the lock stays for {plan.DURATION} s: {error}")

    def delete(self) -> None:
        """Delete the Lease of this run, with a service that is gone."""
        if self._renewal is not None:
            self._renewal.kill()
        before, self.held = self.held, None
        if before is not None:
            self.kubectl.delete([before])

    def unlock(self) -> Object | None:
        """Take it away from whoever has it, and return the Lease as it was; None if it was free."""
        there = self._look()
        if there is None or plan.is_free(there):
            return None
        self.kubectl.replace(self._lease(None, there))
        return there

    def _wait_for_sign(self, there: Object) -> None:
        """Return if a holder is certainly gone; raise RefusedError if it is not."""
        if plan.is_left(there, owner.is_gone):
            host.log_styled(
                f"{plan.described(there)}; it is gone", fg="yellow", log_func=logger.warning
            )
            return
        silent = plan.silence(there, time.time())
        if silent < plan.DURATION:
            raise RefusedError(plan.refusal(there, time.time()))
        if silent < plan.CERTAIN:
            # Its clock may be behind ours.
            time.sleep(SETTLE)
            again = self._look()
            if again != there:
                raise RefusedError(plan.refusal(again or there, time.time()))
        note = f"{plan.described(there)}, and has not renewed it for {silent:.0f} s: taken over"
        host.log_styled(note, fg="yellow", log_func=logger.warning)

    def _look(self) -> Object | None:
        return self.kubectl.one(KIND, plan.name(self.service))

    def _lease(self, holder: Holder | None, before: Object | None) -> Object:
        return plan.lease(self.service, self.kubectl.namespace, holder, time.time(), before)

    def _write(self, before: Object | None) -> Object:
        wanted = self._lease(self.holder, before)
        return self.kubectl.replace(wanted) if before else self.kubectl.create(wanted)

    def _renew(self) -> None:
        while True:
            gevent.sleep(plan.RENEW)
            try:
                self.held = self._write(self.held)
            except KubectlError as error:
                if error.why in ("conflict", "not found"):
                    self._lose()
                    return
                # Until it is taken over, it is ours.
                logger.debug("the lock: %s", error)

    def _lose(self) -> None:
        there = None
        with contextlib.suppress(KubectlError):
            there = self._look()
        if plan.is_held_by(there, self.holder):
            # Somebody has written a label on it.
            self.held = there
            self._renewal = gevent.spawn(self._renew)
            return
        taken = plan.described(there) if there and not plan.is_free(there) else "it is free now"
        self.lost = f"somebody has taken the lock away from this run: {taken}"
        self.held = None
