"""Files on this machine that settings name are looked at before any host is."""

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Name
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tests.unit.settings.conftest import Lines, MakeSettings
from wsdeploy import App, CertFiles, FromFile, Probe, Settings
from wsdeploy.inventory import local_certificates
from wsdeploy.inventory.local_files import check, travelling

DOMAIN = "ws.a-company.com"
HASH = "--hash=sha256:" + "0" * 64
LOCKED = f"websockets==17.0 \\\n    {HASH} \\\n    {HASH}\n    # via -r requirements.in\n"
NO_HASH = "has no hash; lock it with uv pip compile --universal --generate-hashes"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(common: str) -> Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def certificate(
    key: ec.EllipticCurvePrivateKey,
    *names: str,
    days: int = 90,
    issuer: str = DOMAIN,
    common: str = DOMAIN,
    where: str | None = None,
) -> bytes:
    """A self-signed certificate; with a negative number of days, one that has expired.

    where: the address of its issuer's certificate.
    """
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    if common != DOMAIN:
        authority = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(authority, critical=True)
    if where:
        place = x509.UniformResourceIdentifier(where)
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pem(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


@pytest.fixture
def pair(folder: Path, make: MakeSettings) -> MakeSettings:
    """Settings for the two files that a test writes."""

    def settings(certificate_text: bytes, key_text: bytes, domain: str = DOMAIN) -> Settings:
        (folder / "cert.pem").write_bytes(certificate_text)
        (folder / "key.pem").write_bytes(key_text)
        return make(domain=domain, tls=CertFiles("cert.pem", "key.pem"))

    return settings


def test_the_app_must_exist(make: MakeSettings, lines: Lines, folder: Path) -> None:
    assert lines(make(app=App("absent.py"))) == [
        f"app.path: 'absent.py' given; no such file in {folder}; give one that exists"
    ]


def test_no_secret_of_the_settings_travels_with_the_app(
    make: MakeSettings, lines: Lines, folder: Path
) -> None:
    """A release is readable by every user of a host."""
    home = folder / "chat"
    home.mkdir()
    for path in ("__main__.py", "api-key", "probe", "deploy-key"):
        (home / path).write_text("secret")
    key = new_key()
    (home / "tls.pem").write_bytes(pem(key))
    (folder / "cert.pem").write_bytes(certificate(key, DOMAIN))
    app = App(
        "chat",
        secrets={"API_KEY": FromFile("chat/api-key")},
        probe=Probe(send=FromFile(str(home / "probe"))),
    )
    settings = make(app=app, tls=CertFiles("cert.pem", "chat/tls.pem"))
    said = lines(settings)
    assert [line.partition(":")[0] for line in said] == [
        "app.probe.send", "app.secrets.API_KEY", "tls.key"
    ]  # fmt: skip
    assert "would be part of the release" in said[0]
    assert [*travelling(app, {"ssh_key": "chat/deploy-key"})]
    assert not [*travelling(app, {"ssh_key": "cert.pem"})]
    # Out of the release, they may be there.
    kept = {"exclude": ("api-key", "probe", "tls.pem")}
    check(make(app=App("chat", secrets=app.secrets, probe=app.probe, **kept), tls=settings.tls))


def test_the_lock_must_exist_if_it_is_named(make: MakeSettings, lines: Lines, folder: Path) -> None:
    assert lines(make(app=App("app.py", requirements="lock.txt"))) == [
        f"app.requirements: 'lock.txt' given; no such file in {folder}; give one that exists"
    ]


def test_a_requirement_without_hash_is_named(
    make: MakeSettings, lines: Lines, folder: Path
) -> None:
    for text, culprit in (
        ("websockets==17.0\n", "websockets==17.0"),
        ("websockets\n", "websockets"),
        (LOCKED + "uvloop==0.22 ; sys_platform == 'linux'\n", "uvloop==0.22"),
        ("uvloop==0.22 # hashes: --hash=sha256:0\n", "uvloop==0.22"),
    ):
        (folder / "requirements.txt").write_text(text)
        assert lines(make()) == [
            f"app.requirements: 'requirements.txt' given; {culprit!r} {NO_HASH}"
        ]


def test_good_locks(make: MakeSettings, folder: Path) -> None:
    for text in ("", "# nothing yet\n", LOCKED, f"--only-binary :all:\n{LOCKED}"):
        (folder / "requirements.txt").write_text(text)
        check(make())


def test_a_lock_that_needs_other_files_is_no_lock(
    make: MakeSettings, lines: Lines, folder: Path
) -> None:
    for line in ("-r base.txt", "-c constraints.txt", "-e .", "--requirement=a"):
        (folder / "requirements.txt").write_text(f"{line}\n{LOCKED}")
        (found,) = lines(make())
        named = f"app.requirements: 'requirements.txt' given; {line!r} is another file"
        assert found.startswith(named)


def test_a_named_lock_is_read_instead_of_the_one_beside_the_app(
    make: MakeSettings, lines: Lines, folder: Path
) -> None:
    (folder / "requirements.txt").write_text(LOCKED)
    (folder / "other.txt").write_text("uvloop\n")
    assert lines(make(app=App("app.py", requirements="other.txt"))) == [
        f"app.requirements: 'other.txt' given; 'uvloop' {NO_HASH}"
    ]


def test_a_good_pair(pair: MakeSettings) -> None:
    key = new_key()
    for names in ((DOMAIN,), ("a-company.com", "*.a-company.com"), (DOMAIN.upper(),)):
        check(pair(certificate(key, *names), pem(key)))


def test_a_chain_counts_by_its_first_certificate(pair: MakeSettings) -> None:
    key, issuer = new_key(), new_key()
    chain = certificate(key, DOMAIN) + certificate(issuer, days=-1)
    check(pair(chain, pem(key)))


def test_a_key_without_its_certificate(make: MakeSettings, lines: Lines, folder: Path) -> None:
    (folder / "key.pem").write_bytes(pem(new_key()))
    assert lines(make(tls=CertFiles(key="key.pem"))) == ["tls.certificate: missing; give a string"]
    assert lines(make(tls=CertFiles("cert.pem", "key.pem"))) == [
        f"tls.certificate: 'cert.pem' given; no such file in {folder}; give one that exists"
    ]


def test_a_key_of_another_certificate(pair: MakeSettings, lines: Lines) -> None:
    assert lines(pair(certificate(new_key(), DOMAIN), pem(new_key()))) == [
        "tls.key: 'key.pem' given; give the key that belongs to cert.pem"
    ]


def test_a_certificate_for_other_names(pair: MakeSettings, lines: Lines) -> None:
    key = new_key()
    for name in (None, "other.a-company.com", "*.com", "*.ws.a-company.com", "a-company.com"):
        assert lines(pair(certificate(key, *([name] if name else [])), pem(key))) == [
            f"tls.certificate: 'cert.pem' given; give one that covers {DOMAIN}"
        ]


def test_an_expired_certificate(pair: MakeSettings, lines: Lines) -> None:
    key = new_key()
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=3)
    assert lines(pair(certificate(key, DOMAIN, days=-3), pem(key))) == [
        f"tls.certificate: 'cert.pem' given; it expired on {ended:%Y-%m-%d}"
    ]


def test_a_chain_that_leads_nowhere(
    pair: MakeSettings, lines: Lines, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, root = new_key(), certificate(new_key(), issuer="Root", common="Root")
    leaf = certificate(key, DOMAIN, issuer="R3", where="http://r3.test/")
    between = certificate(new_key(), issuer="Root", common="R3", where="http://root.test/")
    missing = (
        "tls.certificate: 'cert.pem' given; clients can't follow it to a root; "
        "append the certificate of CN="
    )
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert lines(pair(leaf, pem(key))) == [missing + "R3"]
    assert lines(pair(leaf + between, pem(key))) == [missing + "Root"]
    check(pair(leaf + between + root, pem(key)))
    # In another order, clients find their way, too.
    check(pair(leaf + root + between, pem(key)))
    # A root that this machine trusts need not be sent.
    (folder / "roots.pem").write_bytes(root)
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "roots.pem"))
    check(pair(leaf + between, pem(key)))
    # A folder of roots, named by hash as OpenSSL has it, counts as well; without any, who knows.
    monkeypatch.delenv("SSL_CERT_FILE")
    (folder / "roots").mkdir()
    (folder / "roots" / "0123abcd.0").write_bytes(root)
    paths = ssl.get_default_verify_paths()._replace(capath=str(folder / "roots"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    check(pair(leaf + between, pem(key)))
    monkeypatch.setattr(local_certificates, "_roots", set)
    check(pair(leaf, pem(key)))
    # Of a small authority of one's own.
    check(pair(certificate(key, DOMAIN, issuer="Ours"), pem(key)))


def test_all_that_is_wrong_with_a_pair(pair: MakeSettings, lines: Lines) -> None:
    found = lines(pair(certificate(new_key(), days=-1), pem(new_key())))
    assert [line.split(":")[0] for line in found] == [
        "tls.key",
        "tls.certificate",
        "tls.certificate",
    ]


def test_what_is_no_certificate(pair: MakeSettings, lines: Lines) -> None:
    assert lines(pair(b"nonsense", pem(new_key()))) == [
        "tls.certificate: 'cert.pem' given; give a certificate in PEM"
    ]


def test_what_is_no_key(pair: MakeSettings, lines: Lines) -> None:
    for key in (b"nonsense", b"", pem(new_key(), b"a passphrase")):
        assert lines(pair(certificate(new_key(), DOMAIN), key)) == [
            "tls.key: 'key.pem' given; give a private key in PEM, without a passphrase"
        ]


def test_a_missing_domain_is_one_problem(pair: MakeSettings, lines: Lines, folder: Path) -> None:
    key = new_key()
    pair(certificate(key, DOMAIN), pem(key))
    settings = Settings(app=App("app.py"), tls=CertFiles("cert.pem", "key.pem"))
    assert lines(settings) == ["domain: missing; give a string"]
