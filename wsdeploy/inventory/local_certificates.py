"""Checks of certificates and keys on this machine that settings name."""

from __future__ import annotations

import contextlib
import datetime
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID

from wsdeploy.settings.section import Problem, refused
from wsdeploy.settings.tls import Acme, CertFiles


def problems(domain: str, tls: Acme | CertFiles) -> Iterator[Problem]:
    """Yield what is wrong with the files that hold certificates and keys."""
    if isinstance(tls, CertFiles):
        yield from _certificate(domain, tls)
    elif tls.authority is not None:
        yield from _authority(tls.authority)


def _authority(path: str) -> Iterator[Problem]:
    missing = [*_missing("tls.authority", path)]
    yield from missing
    if not missing:
        try:
            x509.load_pem_x509_certificates(Path(path).read_bytes())
        except ValueError:
            yield refused("tls.authority", path, "give a certificate in PEM")


def _missing(setting: str, path: str) -> Iterator[Problem]:
    if path and not Path(path).is_file():
        yield refused(setting, path, f"no such file in {Path.cwd()}; give one that exists")


def _certificate(domain: str, files: CertFiles) -> Iterator[Problem]:
    missing = [
        *_missing("tls.certificate", files.certificate),
        *_missing("tls.key", files.key),
    ]
    if missing or not (files.certificate and files.key):
        yield from missing
        return
    try:
        chain = x509.load_pem_x509_certificates(Path(files.certificate).read_bytes())
    except ValueError:
        yield refused("tls.certificate", files.certificate, "give a certificate in PEM")
        return
    try:
        key = load_pem_private_key(Path(files.key).read_bytes(), password=None)
    except (ValueError, TypeError):
        yield refused("tls.key", files.key, "give a private key in PEM, without a passphrase")
        return
    leaf = chain[0]
    if leaf.public_key() != key.public_key():
        yield refused("tls.key", files.key, f"give the key that belongs to {files.certificate}")
    if leaf.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        yield refused(
            "tls.certificate", files.certificate, f"it expired on {leaf.not_valid_after_utc:%F}"
        )
    if domain and not _covers(leaf, domain):
        yield refused("tls.certificate", files.certificate, f"give one that covers {domain}")
    if issuer := _missing_issuer(chain):
        yield refused(
            "tls.certificate",
            files.certificate,
            f"clients can't follow it to a root; append the certificate of {issuer}",
        )


def _missing_issuer(chain: list[x509.Certificate]) -> str | None:
    """Return the name of the authority whose certificate is missing, if one is.

    Browsers may find it somewhere, but other clients refuse such a server. Certificates that say
    where their issuer's is to be had are the only ones looked at: a small authority of one's own
    is mostly a root that this machine need not trust.
    """
    known = {certificate.subject: certificate for certificate in chain}
    last = chain[0]
    # Each is followed once: two may name each other.
    while issuer := known.pop(last.issuer, None):
        last = issuer
    if last.issuer == last.subject or not _tells_of_issuer(last):
        return None
    roots = _roots()
    # Who trusts nobody can't tell.
    return last.issuer.rfc4514_string() if roots and last.issuer not in roots else None


def _tells_of_issuer(certificate: x509.Certificate) -> bool:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    except x509.ExtensionNotFound:
        return False
    return any(
        entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS for entry in access.value
    )


def _roots() -> set[x509.Name]:
    """Return the names of the authorities that this machine trusts; none if it has no list."""
    contents = ssl.create_default_context().get_ca_certs(binary_form=True)
    # Of a folder, Python lists only those that it has needed already.
    folder = ssl.get_default_verify_paths().capath
    for file in Path(folder).glob("*.[0-9]") if folder else ():
        with contextlib.suppress(OSError, ValueError):
            contents.append(ssl.PEM_cert_to_DER_cert(file.read_text().strip()))
    found = set()
    with warnings.catch_warnings():
        # Some roots are older than the rules for certificates.
        warnings.simplefilter("ignore")
        for content in contents:
            with contextlib.suppress(ValueError):
                found.add(x509.load_der_x509_certificate(content).subject)
    return found


def _covers(certificate: x509.Certificate, domain: str) -> bool:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return False
    names = {name.lower() for name in extension.value.get_values_for_type(x509.DNSName)}
    return domain.lower() in names or f"*.{domain.lower().partition('.')[2]}" in names
