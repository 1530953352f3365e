"""Ask a certificate authority for a certificate, by ACME (RFC 8555) with HTTP-01.

The proxies answer challenges by themselves (see account.py), so there is nothing to set up and to
take down around an order. The protocol is python3-acme's, which is what certbot is made of.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import josepy
import requests
from acme import client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

TIMEOUT = 30
"""Seconds for one answer of the authority."""
WITHIN = 180
"""Seconds for the whole order."""

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class IssueError(Exception):
    """The authority gave no certificate; the message says what it answered."""


@dataclass(frozen=True)
class Authority:
    """Who issues certificates, and our account there."""

    directory_url: str
    email: str
    account: Path
    """File with the account's key."""
    trusted: str = ""
    """File with certificates to trust when talking to it, instead of the system's."""


def issue(authority: Authority, names: list[str], key_type: str) -> tuple[bytes, bytes]:
    """Return a new certificate with its chain, and its new key, both in PEM. Raises IssueError."""
    key, directory_url = private_key(key_type), authority.directory_url
    try:
        chain = _order(authority, _request(names, key))
    except errors.ValidationError as error:
        raise IssueError(f"{directory_url} answered: {_failures(error)}") from error
    except errors.IssuanceError as error:
        raise IssueError(f"{directory_url} answered: {error.error.detail}") from error
    except messages.Error as error:
        raise IssueError(f"{directory_url} answered: {error.detail or error.typ}") from error
    except errors.TimeoutError as error:
        raise IssueError(f"{directory_url} did not finish within {WITHIN} s") from error
    except (requests.RequestException, errors.Error, OSError, ValueError) as error:
        raise IssueError(f"{directory_url} can't be asked: {_reason(error)}") from error
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return chain.encode(), pem


def private_key(key_type: str) -> PrivateKey:
    """Return a new private key of a type such as ec256 or rsa2048."""
    if key_type.startswith("ec"):
        return ec.generate_private_key({"ec256": ec.SECP256R1(), "ec384": ec.SECP384R1()}[key_type])
    return rsa.generate_private_key(65_537, int(key_type.removeprefix("rsa")))


def _request(names: list[str], key: PrivateKey) -> bytes:
    # A common name has at most 64 characters, and clients only look at the other names.
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, n) for n in names[:1] if len(n) <= 64]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    request = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def _order(authority: Authority, request: bytes) -> str:
    key = josepy.JWK.load(authority.account.read_bytes())
    net = client.ClientNetwork(key, alg=josepy.ES256, user_agent="wsdeploy", timeout=TIMEOUT)
    if authority.trusted:
        # What `requests` takes for `verify`: True, or a file.
        net.verify_ssl = authority.trusted
    directory = client.ClientV2.get_directory(authority.directory_url, net)
    acme = client.ClientV2(directory, net)
    register(acme, authority.email)
    order = acme.new_order(request)
    for authorization in order.authorizations:
        # The authority remembers for a while what it has validated.
        if authorization.body.status != messages.STATUS_PENDING:
            continue
        offered = [c for c in authorization.body.challenges if c.chall.typ == "http-01"]
        if not offered:
            raise errors.Error(f"{authorization.body.identifier.value}: it offers no HTTP-01")
        acme.answer_challenge(offered[0], offered[0].response(key))
    # The library compares with local time.
    end = datetime.datetime.now() + datetime.timedelta(seconds=WITHIN)
    chain: str = acme.poll_and_finalize(order, end).fullchain_pem
    return chain


def register(acme: client.ClientV2, email: str) -> None:
    """Make the account, or find it, with this address."""
    wanted = messages.NewRegistration.from_data(email=email, terms_of_service_agreed=True)
    try:
        acme.new_account(wanted)
    except errors.ConflictError as known:
        found = messages.RegistrationResource(uri=known.location, body=messages.Registration())
        acme.net.account = found
        contact = messages.Registration.from_data(email=email).contact
        if acme.query_registration(found).body.contact != contact:
            update = messages.Registration(contact=contact)
            acme.update_registration(acme.net.account, update)


def _failures(error: errors.ValidationError) -> str:
    found = [
        f"{each.body.identifier.value}: {challenge.error.detail}"
        for each in error.failed_authzrs
        for challenge in each.body.challenges
        if challenge.error is not None
    ]
    return "; ".join(found)


def _reason(error: Exception) -> str:
    """Return the innermost reason, which says most: 'Connection refused'."""
    while error.__context__ is not None:
        inner = error.__context__
        assert isinstance(inner, Exception)
        error = inner
    return getattr(error, "strerror", None) or str(error)
