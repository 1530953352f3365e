"""The last check of a deployment to a cluster: be a client, through the way in."""

from __future__ import annotations

import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wsdeploy import command_line
from wsdeploy.cluster import found, way_in
from wsdeploy.deploy.cluster.kubectl import Kubectl
from wsdeploy.settings import Acme, CertFiles, Settings, secret_values
from wsdeploy.settings.cluster import HTTPRoute, Kubernetes
from wshost.rollout import probe
from wshost.rollout.probe import ProbeError

TIMEOUT = 10
"""Seconds for each step of a handshake."""
ANSWERED, SILENT, NEW = 10, 30, 180
"""Seconds after which another try is the last: for a wrong answer, as a proxy may not know yet
which pods there are; for none; and for a way in that this run has made: balancers and certificates
take their time."""
PAUSE = 1
NEWS = 15
"""Seconds between two lines that say what is waited for."""
UNTRUSTED = {18, 19, 20, 21}
"""What OpenSSL says of a certificate whose issuer it does not know: self-signed, for one."""


class HandshakeError(Exception):
    """No WebSocket came about; the message says why."""


class _Unverified(probe.Target):
    """A service whose certificate is taken as it is."""

    def connect(self, timeout: float) -> socket.socket:
        """Return a connected socket. Raises OSError."""
        connection = socket.create_connection(self.address, timeout)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(connection, server_hostname=self.host)


@dataclass
class _Wait:
    """A wait that says now and then what it is for."""

    tell: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)

    def lasts(self, most: float, why: str) -> bool:
        """Pause, and return true, as long as a wait takes no more than so many seconds."""
        now = time.monotonic()
        if now >= self.began + most:
            return False
        if now >= self.told + NEWS:
            self.told = now
            left = self.began + most - now
            self.tell(f"waiting for the way in, for {left:.0f} s more at most: {why}")
        time.sleep(PAUSE)
        return True


def check(
    settings: Settings,
    kubernetes: Kubernetes,
    kubectl: Kubectl,
    tell: Callable[[str], None],
    *,
    new: bool,
) -> str | None:
    """Open a WebSocket through the way in, over TLS, with the certificate verified.

    Handshake, ping, the message of `App.probe` if there is one, and a clean close.

    tell: called with what is waited for, every so often. new: whether the way in is.
    Returns what to say of a check that could not be made as it should be. Raises HandshakeError
    and KubectlError.
    """
    failure, note = None, None
    try:
        note = _check(settings, kubernetes, kubectl, tell, new=new)
    except HandshakeError as error:
        failure = error
    if isinstance(kubernetes.way_in, HTTPRoute):
        # Clients of a refused route get 404, or what the route before gives them, for a moment.
        route = kubectl.one(found.KINDS["HTTPRoute"], settings.name)
        if refusal := way_in.refusal(route):
            raise HandshakeError(f"{failure}; {refusal}" if failure else refusal)
    if failure is not None:
        raise failure
    return note


def _check(
    settings: Settings,
    kubernetes: Kubernetes,
    kubectl: Kubectl,
    tell: Callable[[str], None],
    *,
    new: bool,
) -> str | None:
    address = _address(settings, kubernetes, kubectl, _Wait(tell), new=new)
    if address is None:
        kind, name, _ = way_in.source(settings, kubernetes)
        return (
            f"the cluster gives {kind.partition('.')[0]} {name} no address, so no WebSocket was "
            "tried through it; give Kubernetes(reached_at=...), where this machine reaches it"
        )
    send, expect = _message(settings)
    wait, untrusted = _Wait(tell), None
    while True:
        try:
            _handshake(settings, address, send, expect, verified=True)
            return None
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in UNTRUSTED:
                raise HandshakeError(_line(settings, error.verify_message)) from None
            # What is new may come by its certificate yet.
            untrusted, wrong, patience = error.verify_message, None, 0
        except ProbeError as error:
            wrong, patience = str(error), ANSWERED
        except OSError as error:
            wrong, patience = f"{address[0]}:{address[1]}: {error.strerror or error}", SILENT
        why = wrong or f"its certificate can't be verified from here: {untrusted}"
        if wait.lasts(NEW if new else patience, why):
            continue
        if wrong is not None or untrusted is None:
            raise HandshakeError(_line(settings, wrong or "no answer"))
        try:
            _handshake(settings, address, send, expect, verified=False)
        except (ProbeError, OSError) as error:
            raise HandshakeError(_line(settings, str(error))) from None
        return f"the certificate at the way in can't be verified from here: {untrusted}"


def _address(
    settings: Settings, kubernetes: Kubernetes, kubectl: Kubectl, wait: _Wait, *, new: bool
) -> tuple[str, int] | None:
    if kubernetes.reached_at:
        return way_in.split(kubernetes.reached_at)
    source = way_in.source(settings, kubernetes)
    why = f"the cluster gives {source[0].partition('.')[0]} {source[1]} no address yet"
    while True:
        address = way_in.address(kubectl.one(*source))
        if address is not None:
            return address, way_in.TLS_PORT
        if not wait.lasts(NEW if new else 0, why):
            return None


def _message(settings: Settings) -> tuple[str | None, str | None]:
    """Return what is sent and expected; nothing if that is a secret which this run can't have."""
    given = settings.app.probe.send
    if given is None or isinstance(given, str) or command_line.deploys(sys.argv[1:]):
        return secret_values.message(settings.app), settings.app.probe.expect
    return None, None


def _handshake(
    settings: Settings,
    address: tuple[str, int],
    send: str | None,
    expect: str | None,
    *,
    verified: bool,
) -> None:
    kind = probe.Target if verified else _Unverified
    target = kind(
        host=settings.domain,
        path=settings.app.probe.path,
        address=address,
        tls=True,
        authority=_authority(settings),
        origin=settings.edge.some_origin(),
    )
    probe.handshake(target, TIMEOUT, send, expect)


def _authority(settings: Settings) -> str | None:
    """Return a file with the certificates to trust; None for those that the system does."""
    given = None
    match settings.tls:
        # Whether others trust it too is for whoever issued it.
        case CertFiles() as pair:
            given = pair.certificate
        case Acme() as acme:
            given = acme.authority
    return given if given and Path(given).is_file() else None


def _line(settings: Settings, wrong: str) -> str:
    # What comes after the path may be a token.
    path = settings.app.probe.path.partition("?")[0]
    return f"no WebSocket through the way in: wss://{settings.domain}{path}: {wrong}"
