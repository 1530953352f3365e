"""User data: what a cloud gives a new machine, by which it gets and verifies its bundle."""

from __future__ import annotations

import shlex
from typing import TypedDict

from wsdeploy.bundle import build, signature
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.render import render

DOWNLOAD = (
    "import shutil, sys, urllib.request as web; "
    "shutil.copyfileobj(web.urlopen(sys.argv[1], timeout=60), sys.stdout.buffer)"
)
"""A machine with cloud-init has Python, and need not have curl."""


class UserData(TypedDict):
    """What templates/join/user_data.sh.j2 is given."""

    domain: str
    folder: str
    fetch: str
    """The command that writes the bundle to its standard output."""
    key: str
    """The public key that has signed it."""
    purpose: str
    """What the signature is for."""
    signer: str
    unit: str


def user_data(name: str, domain: str, key: str, fetch: str) -> str:
    """Return the user data of machines.

    key: the public key that their bundles are signed with. fetch: the command that gets one.
    """
    view: UserData = {
        "domain": domain,
        "folder": paths.bundle(name),
        "fetch": fetch,
        "key": key,
        "purpose": signature.namespace(name),
        "signer": signature.SIGNER,
        "unit": build.unit(name),
    }
    return render("join/user_data.sh", view)


def download(url: str) -> str:
    """Return the command that gets a bundle from a URL."""
    return f"python3 -c {shlex.quote(DOWNLOAD)} {shlex.quote(url)}"
