"""Where the proxy's certificate comes from, and what TLS offers with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Literal

from wsdeploy.settings.names import is_address, is_domain, is_placeholder
from wsdeploy.settings.section import Problem, Range, Section, refused


class TLS(Section):
    """What goes with every kind of certificate."""

    _: KW_ONLY
    policy: Literal["intermediate", "modern"] = "intermediate"
    """Which of Mozilla's configurations (Server Side TLS 6.0) is offered: `intermediate` has TLS
    1.2 and 1.3, `modern` only 1.3, which clients have had since about 2018."""
    hsts: Annotated[int, Range(0, 315_360_000, "seconds")] = 63_072_000
    """Seconds for which browsers refuse to reach the domain without TLS, once they have been there
    (Strict-Transport-Security); 0 sends no such header. The default is Mozilla's, two years. It
    can't be taken back before the time is over: see docs/explanation/tls.md."""
    hsts_subdomains: bool = False
    """Whether `hsts` also applies to all names below the domain, whoever serves them."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if self.hsts_subdomains and not self.hsts:
            yield refused("hsts_subdomains", True, "with hsts=0 none is sent; give seconds there")


class SelfSigned(TLS):
    """A key and certificate that each proxy makes for itself, for tests and private networks.

    `pyinfra INVENTORY wsdeploy.certificates` fetches the certificates, for clients to verify with.
    """

    names: Sequence[str] = ()
    """Further names and addresses in the certificate, in addition to the domain."""
    days: Annotated[int, Range(2, 825, "a whole number of days")] = 365
    """Days for which a certificate is valid. It is renewed when a third of them is left."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from super().problems()
        for name in self.names:
            if not (is_address(name) or is_domain(name)):
                yield refused("names", name, "give full host names or addresses")


class Acme(TLS):
    """A certificate from an authority that speaks ACME, such as Let's Encrypt.

    Each proxy gets its own certificate and renews it by itself, from a timer. The authority asks
    port 80 of `domain`, so the domain has to lead to the proxies, any of which can answer.
    """

    email: str
    """Address that the authority may write to."""
    names: Sequence[str] = ()
    """Further host names in the certificate, in addition to the domain. They must lead to the
    proxies, too."""
    directory_url: str = "https://acme-v02.api.letsencrypt.org/directory"
    """The authority. First try Let's Encrypt's staging directory, whose limits are wide and whose
    certificates no client trusts: https://acme-staging-v02.api.letsencrypt.org/directory"""
    key_type: Literal["ec256", "ec384", "rsa2048", "rsa4096"] = "ec256"
    """Type of the certificate's key. All but very old clients support ECDSA, which costs the proxy
    a tenth of what RSA costs."""
    authority: str | None = None
    """File on this machine with the certificate to trust when talking to `directory_url`, for a
    private authority; None trusts the authorities that Debian trusts."""
    check: bool = True
    """Whether a proxy first asks all names itself what the authority will ask. That avoids
    failures, which authorities count. Set False for a host that can't reach its own public
    address."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        yield from super().problems()
        if not re.fullmatch(r"[^@\s,]+@[^@\s,]+\.[^@\s,.]+", self.email):
            yield refused("email", self.email, "give an address, such as ops@your-company.com")
        elif is_placeholder(self.email.rpartition("@")[2]):
            yield refused("email", self.email, "that is a placeholder; give your own address")
        for name in self.names:
            if not is_domain(name):
                yield refused("names", name, "give full host names; no addresses, no wildcards")
        if not re.fullmatch(r"https://[^\s/]+(/\S*)?", self.directory_url):
            yield refused("directory_url", self.directory_url, "give an https:// address")


class CertFiles(TLS):
    """A certificate and its key from files on this machine, pushed to every proxy."""

    certificate: str
    """File with the certificate followed by its chain, in PEM."""
    key: str
    """File with the private key, in PEM, without a passphrase."""
