"""Be the first client of a freshly deployed service, and say how to be the next."""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

from websockets.asyncio.client import connect

from wsdeploy.inventory import Fleet, read
from wsdeploy.settings import CertFiles


def main(inventory: str) -> None:
    """Talk to the service of an inventory over verified TLS, then print how to do the same."""
    found = read(inventory)
    settings = found.settings
    if isinstance(settings.tls, CertFiles):
        certificate = Path(settings.tls.certificate)
    else:
        certificate = Path("certificates", f"{settings.domain}.pem")
    names = settings.domain.partition(".")[0]
    if isinstance(found, Fleet):
        names = " ".join(host.name for host in found.hosts)
    url = f"wss://{settings.domain}/"
    answer = asyncio.run(echo(url, ssl.create_default_context(cafile=certificate)))
    print(
        f"\nSent 'hello' to {url} and got {answer!r} back, over verified TLS.\n\n"
        f"Try it yourself:\n"
        f"  SSL_CERT_FILE={certificate} .venv/bin/python -m websockets {url}\n\n"
        "Look at the host:            .venv/bin/sandbox list, .venv/bin/sandbox ssh NAME\n"
        f"Deploy again, as you like:   .venv/bin/pyinfra {inventory} deploy.py\n"
        f"Throw it away:               .venv/bin/sandbox down {names}"
    )


async def echo(url: str, context: ssl.SSLContext) -> str | bytes:
    """Send "hello" and return what comes back within ten seconds."""
    async with asyncio.timeout(10), connect(url, ssl=context, proxy=None) as websocket:
        await websocket.send("hello")
        return await websocket.recv()


if __name__ == "__main__":
    main(sys.argv[1])
