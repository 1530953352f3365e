"""Bring the proxies' own certificates to this machine, for clients to verify with."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import OperationError
from pyinfra.api.operation import operation
from pyinfra.context import host, inventory, state
from pyinfra.facts.files import FileContents

from wsdeploy.plan import places

FOLDER = Path("certificates")


@operation()
def certificates() -> Generator[StringCommand, None, None]:
    """Write the certificates of all proxies to certificates/DOMAIN.pem, below the current folder.

        pyinfra inventories/prod.py wsdeploy.certificates

    Changes nothing on the hosts.
    """
    if state.is_executing and "proxy" in host.groups:
        settings = host.data.settings
        lines = host.get_fact(FileContents, path=places.certificate(settings.name))
        if not lines:
            raise OperationError("there is no certificate yet; deploy first")
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{host.name}.pem").write_text("\n".join(lines) + "\n")
        own = [FOLDER / f"{proxy.name}.pem" for proxy in inventory.get_group("proxy")]
        bundle = FOLDER / f"{settings.domain}.pem"
        bundle.write_text("".join(path.read_text() for path in own if path.exists()))
        host.log(f"to verify with: {bundle}")
    yield from ()
