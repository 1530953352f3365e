"""Bring the proxies' own certificates to this machine, for clients to verify with."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra.api.command import StringCommand
from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host, inventory, state

from wsdeploy.deploy.operations.send import failure
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.remote import AS_ROOT
from wsdeploy.release.source import CERTIFICATES, IGNORE_ALL


class Certificate(FactBase[str]):
    """A certificate on a host in PEM, or nothing."""

    def command(self, path: str) -> str:
        """Return the command; the folder that the certificate is in is closed to other users."""
        return f"{AS_ROOT} cat {shlex.quote(path)} 2>/dev/null || true"

    def process(self, output: list[str]) -> str:
        """Return the file's text."""
        return "\n".join(output) + "\n" if output else ""


@operation()
def certificates() -> Generator[StringCommand, None, None]:
    """Write the certificates of all proxies to certificates/DOMAIN.pem, below the current folder.

        pyinfra inventories/prod.py wsdeploy.certificates

    Changes nothing on the hosts.
    """
    if state.is_executing and "proxy" in host.groups:
        settings = host.data.settings
        pem = host.get_fact(Certificate, paths.certificate(settings.name))
        if not pem:
            yield failure("there is no certificate yet; deploy first")
            return
        CERTIFICATES.mkdir(exist_ok=True)
        # Of an app that is deployed from its own folder, they would make another release.
        (CERTIFICATES / ".gitignore").write_text(IGNORE_ALL)
        (CERTIFICATES / f"{host.name}.pem").write_text(pem)
        own = [CERTIFICATES / f"{proxy.name}.pem" for proxy in inventory.get_group("proxy")]
        bundle = CERTIFICATES / f"{settings.domain}.pem"
        bundle.write_text("".join(path.read_text() for path in own if path.exists()))
        host.log(f"to verify with: {bundle}")
    yield from ()
