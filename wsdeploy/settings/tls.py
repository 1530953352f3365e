"""Where the proxy's certificate comes from, and what TLS offers with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY
from typing import Literal

from wsdeploy.settings.names import is_address, is_domain
from wsdeploy.settings.section import Problem, Section, refused


class TLS(Section):
    """What goes with every kind of certificate."""

    _: KW_ONLY
    policy: Literal["intermediate", "modern"] = "intermediate"
    """Which of Mozilla's configurations (Server Side TLS 6.0) is offered: `intermediate` has TLS
    1.2 and 1.3, `modern` only 1.3, which clients have had since about 2018."""
    hsts: int = 63_072_000
    """Seconds for which browsers refuse to reach the domain without TLS, once they have been there
    (Strict-Transport-Security); 0 to 315,360,000, where 0 sends none. Mozilla's two years. It can't
    be taken back before it is over: see docs/tls.md."""
    hsts_subdomains: bool = False
    """Whether that is also so for all names below the domain, whoever serves them."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not 0 <= self.hsts <= 315_360_000:
            yield refused("hsts", self.hsts, "give seconds, 0 to 315,360,000")
        if self.hsts_subdomains and not self.hsts:
            yield refused("hsts_subdomains", True, "with hsts=0 none is sent; give seconds there")


class SelfSigned(TLS):
    """A key and certificate that each proxy makes for itself, for tests and private networks.

    `pyinfra INVENTORY wsdeploy.certificates` fetches the certificates, for clients to verify with.
    """

    names: tuple[str, ...] = ()
    """Further names and addresses in the certificate, beside the domain."""
    days: int = 365
    """Days that a certificate is valid, 2 to 825. It is renewed when a third of them is left."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from super().problems()
        for name in self.names:
            if not (is_address(name) or is_domain(name)):
                yield refused("names", name, "give full host names or addresses")
        if not 2 <= self.days <= 825:
            yield refused("days", self.days, "give a whole number of days from 2 to 825")


class CertFiles(TLS):
    """A certificate and its key from files on this machine, pushed to every proxy."""

    certificate: str
    """File with the certificate followed by its chain, in PEM."""
    key: str
    """File with the private key, in PEM, without a passphrase."""
