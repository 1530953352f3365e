"""Where the proxy's certificate comes from."""

from __future__ import annotations

from collections.abc import Iterator

from wsdeploy.settings.names import is_address, is_domain
from wsdeploy.settings.section import Problem, Section, refused


class SelfSigned(Section):
    """A key and certificate that each proxy makes for itself, for tests and private networks.

    `pyinfra INVENTORY wsdeploy.certificates` fetches the certificates, for clients to verify with.
    """

    names: tuple[str, ...] = ()
    """Further names and addresses in the certificate, beside the domain."""
    days: int = 365
    """Days that a certificate is valid, 2 to 825. It is renewed when a third of them is left."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        for name in self.names:
            if not (is_address(name) or is_domain(name)):
                yield refused("names", name, "give full host names or addresses")
        if not 2 <= self.days <= 825:
            yield refused("days", self.days, "give a whole number of days from 2 to 825")


class CertFiles(Section):
    """A certificate and its key from files on this machine, pushed to every proxy."""

    certificate: str
    """File with the certificate followed by its chain, in PEM."""
    key: str
    """File with the private key, in PEM, without a passphrase."""
