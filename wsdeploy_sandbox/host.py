"""What a sandbox host is, and how one is asked for."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from wsdeploy_sandbox.errors import SandboxError

SUITES = ("bookworm", "trixie")
DEFAULT_SUITE = SUITES[0]
DOMAIN = "sandbox.test"
"""`.test` is reserved (RFC 2606): no resolver outside ever answers for it."""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class SandboxHost:
    """One throwaway host, as `sandbox list --json` shows it."""

    name: str
    suite: str
    address: str
    address6: str
    user: str
    key: str
    """Path of the private key that logs in as `root` and as `admin` (who has sudo)."""
    domain: str
    state: str
    """`running` or `stopped`."""
    known_hosts: str
    """Path of the file with the host's SSH key."""

    def as_json(self) -> dict[str, str]:
        """Return the fields as a JSON object."""
        return asdict(self)

    def ssh_data(self, user: str | None = None) -> dict[str, str]:
        """Return what pyinfra's SSH connector needs to log in, as root or as another user."""
        return {
            "ssh_hostname": self.address,
            "ssh_user": user or self.user,
            "ssh_key": self.key,
            "ssh_known_hosts_file": self.known_hosts,
            "ssh_strict_host_key_checking": "yes",
        }


def check_name(name: str) -> str:
    """Return the name, or raise SandboxError if no host can be called that."""
    if not _NAME.fullmatch(name) or name == "localhost":
        raise SandboxError(
            f"{name!r} can't be a host's name: use up to 32 of a-z, 0-9 and -, starting with a "
            "letter and not ending with -"
        )
    return name


def parse_requests(requests: Iterable[str]) -> dict[str, str | None]:
    """Parse NAME or NAME:SUITE into suites by name, in the order given.

    The suite is None where none was named: any suite the host already has will do.
    Raises SandboxError for a bad name, an unknown suite, or a host asked for with two suites.
    """
    asked: dict[str, str | None] = {}
    for request in requests:
        name, colon, suite = request.partition(":")
        check_name(name)
        if colon and suite not in SUITES:
            raise SandboxError(f"{request}: unknown suite {suite!r}, choose {' or '.join(SUITES)}")
        named = suite if colon else None
        if name in asked and named and asked[name] not in (None, named):
            raise SandboxError(f"{name} is asked for both with {asked[name]} and with {named}")
        asked[name] = named or asked.get(name)
    return asked


def check_suite(name: str, asked: str | None, existing: str) -> None:
    """Raise SandboxError if a host that exists was asked for with another suite."""
    if asked is not None and asked != existing:
        raise SandboxError(
            f"{name} already exists with {existing}; to have it with {asked}, "
            f"first `sandbox down {name}`"
        )
