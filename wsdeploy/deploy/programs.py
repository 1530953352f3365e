"""Which hosts of this run have the programs already, so that they need not be sent again."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from wsdeploy.deploy import run
from wsdeploy.plan.host import remote
from wshost.requests import Claim


def forget(host: Host) -> None:
    """Note that a host has lost them."""
    run.current().with_programs.discard(host.name)


def note(host: Host) -> None:
    """Note that a host has answered by a program, so that it has them."""
    run.current().with_programs.add(host.name)


def payload(
    program: str,
    request: Mapping[str, object],
    attachment: bytes | None = None,
    claim: Claim | None = None,
    *,
    host: Host | None = None,
    again: bool = False,
    progress: str | None = None,
) -> remote.Payload:
    """Return standard input for a program on a host, with all programs if it may lack them.

    host: the current one unless told. The rest is as in remote.payload.
    """
    target: Host = host or ctx_host.get()  # type: ignore[no-untyped-call]
    known = target.name in run.current().with_programs
    return remote.payload(
        program,
        request,
        attachment,
        claim,
        bundle=not known,
        again=again and known,
        progress=progress,
    )
