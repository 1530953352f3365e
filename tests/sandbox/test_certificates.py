"""Certificates from an authority, got and renewed by the proxies themselves, with clients on."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import wsdeploy_sandbox as sandbox
from tests.sandbox.authority import REFUSED, Authority
from tests.sandbox.site import RATE, Site
from wsdeploy.plan.host import paths
from wsdeploy_sandbox import Layer

COMBINATIONS = [("bookworm", "Nginx"), ("trixie", "HAProxy")]

# A renewal that believes that 31 of 45 days are over.
EARLY = """
import datetime
from wshost.certificates import renewal

def earlier(real):
    return lambda certificate: real(certificate) - datetime.timedelta(days=31)

renewal.begins, renewal.ends = earlier(renewal.begins), earlier(renewal.ends)
renewal.main(["ws"])
"""

CERTIFICATE = paths.certificate("ws")
SERVICE = "ws-certificate.service"


@pytest.fixture(scope="module")
def authority(
    combination: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Authority]:
    name = f"authority-{'-'.join(combination).lower()}"
    sandbox.down(name)
    (host,) = sandbox.up(f"{name}:trixie", layer=Layer(Authority.PACKAGES))
    yield Authority(host, tmp_path_factory.mktemp("authority"))
    sandbox.down(name)


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site], authority: Authority) -> Site:
    """Two hosts that are proxies for one name."""
    made = make_site(["acme-1", "acme-2"], ["acme-1", "acme-2"])
    authority.stop()
    return made


def acme(authority: Authority, **options: Any) -> str:
    options = {
        "email": "ops@a-company.test",
        "directory_url": authority.directory_url,
        "authority": str(authority.trust),
    } | options
    return f"Acme({', '.join(f'{name}={value!r}' for name, value in options.items())})"


def shown(site: Site, host: sandbox.SandboxHost) -> x509.Certificate:
    """The certificate that a proxy shows."""
    pem = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host.address}:443", "-servername", site.host.domain],
        input="", capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    return x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN") :].encode())


def issuer(site: Site, host: sandbox.SandboxHost | None = None) -> str:
    return shown(site, host or site.host).issuer.rfc4514_string()


@contextlib.contextmanager
def in_its_place(site: Site, command: str) -> Iterator[None]:
    """Let the service run another command meanwhile."""
    folder = f"/run/systemd/system/{SERVICE}.d"
    text = f"[Service]\nExecStart=\nExecStart={command}\n"
    site.ssh(f"mkdir {folder}; cat >{folder}/other.conf; systemctl daemon-reload", text=text)
    yield
    site.ssh(f"rm -r {folder}; systemctl daemon-reload")


def failed_units(site: Site) -> str:
    return site.ssh("systemctl --failed --plain --no-legend")


def test_an_authority_that_is_down(site: Site, authority: Authority) -> None:
    """The service runs, and a line says what is missing."""
    site.write(tls=acme(authority))
    result = site.pyinfra()
    assert result.code == 1
    assert f"{authority.directory_url} can't be asked: Connection refused" in result.output
    assert "Traceback" not in result.output
    assert SERVICE in failed_units(site)
    # What stands in for it.
    assert "Pebble" not in issuer(site)
    site.echoes()


def test_the_first_issue_and_two_proxies_for_one_name(site: Site, authority: Authority) -> None:
    authority.start()
    site.trusted = authority.root()
    # The authority asks the other proxy, whichever orders.
    authority.lead(site.host.domain, site.proxies[1].address)
    result = site.deploy()
    assert "Proxy | Certificate of the authority" in result.changed
    assert all("Pebble" in issuer(site, host) for host in site.proxies)
    assert shown(site, site.proxies[0]).serial_number != shown(site, site.proxies[1]).serial_number
    site.echoes()
    assert SERVICE not in failed_units(site)
    site.converged()
    site.checked("-k", "test_proxy or test_base")


def test_the_keys_are_for_root_alone(site: Site) -> None:
    for host in site.proxies:
        modes = site.ssh("cd /etc/ws; stat -c '%a %U' acme acme/account.pem tls tls/key.pem", host)
        assert modes.splitlines() == ["700 root", "600 root", "700 root", "600 root"]
    accounts = {site.ssh("cat /etc/ws/acme/account.pem", host) for host in site.proxies}
    assert len(accounts) == 1, "any proxy answers for the account"
    key = x509.load_pem_x509_certificate(site.ssh(f"cat {CERTIFICATE}").encode()).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_renewal_is_noticed_by_nobody(site: Site) -> None:
    serials = {shown(site, site.host).serial_number}
    with site.under_load(rate=RATE, held=150, echo_every=1) as outcome:
        for _ in range(4):
            site.ssh(
                "systemd-run --quiet --wait --collect --working-directory=/usr/local/lib/ws-acme "
                "python3 -m wshost.certificates.renewal ws --force"
            )
            # The program has compared it with the disk: ten seconds after the change, at most.
            serials.add(shown(site, site.host).serial_number)
    assert len(serials) == 5
    assert outcome["failed"] == {}
    assert outcome["codes"] == {}
    print(f"the slowest of {outcome['echoes']} echoes took {outcome['slowest']:.2f} s")
    assert outcome["echoes"] > 150
    assert outcome["unanswered"] == 0


def test_the_timer_renews_at_a_third(site: Site, authority: Authority) -> None:
    """As if two thirds of the lifetime were over."""
    before = shown(site, site.host).serial_number
    site.ssh(f"systemctl start {SERVICE}")
    assert shown(site, site.host).serial_number == before, "nothing is due yet"
    timer = site.ssh("systemctl show --property=NextElapseUSecRealtime ws-certificate.timer")
    assert timer.strip() != "NextElapseUSecRealtime="
    site.ssh("cat >/run/early.py", text=EARLY)
    with in_its_place(site, "/usr/bin/env PYTHONPATH=/usr/local/lib/ws-acme python3 /run/early.py"):
        site.ssh(f"systemctl start {SERVICE}")
    assert shown(site, site.host).serial_number != before
    site.converged()


def test_a_renewal_that_fails_leaves_the_old_one_in_use(site: Site) -> None:
    before = shown(site, site.host).serial_number
    # The proxy can't be told of a new one.
    unit = "nginx" if "Nginx" in site.settings["proxy"] else "haproxy"
    broken = (
        "mv /etc/nginx/nginx.conf /etc/nginx/away"
        if unit == "nginx"
        else "mv /usr/bin/socat /usr/bin/socat.away"
    )
    mended = (
        "mv /etc/nginx/away /etc/nginx/nginx.conf"
        if unit == "nginx"
        else "mv /usr/bin/socat.away /usr/bin/socat"
    )
    with in_its_place(site, "/usr/bin/python3 -m wshost.certificates.renewal ws --force"):
        site.ssh(f"{broken}; systemctl start {SERVICE} || true; {mended}")
    assert SERVICE in failed_units(site)
    assert "the present one stays in use" in site.ssh(f"journalctl --unit {SERVICE} --output cat")
    assert shown(site, site.host).serial_number == before
    on_disk = x509.load_pem_x509_certificate(site.ssh(f"cat {CERTIFICATE}").encode())
    assert on_disk.serial_number == before
    site.ssh(f"systemctl start {SERVICE}")
    assert SERVICE not in failed_units(site)
    site.echoes()


def test_what_the_authority_refuses(site: Site, authority: Authority) -> None:
    before = shown(site, site.host).serial_number
    # The hosts know this name, and the authority issues nothing for it.
    for host in site.proxies:
        site.ssh(f"echo '{site.host.address} {REFUSED}' >>/etc/hosts", host)
    site.write(tls=acme(authority, names=[REFUSED]))
    result = site.pyinfra()
    assert result.code == 1
    assert f"{authority.directory_url} answered: " in result.output
    assert "policy" in result.output
    assert "Traceback" not in result.output
    assert shown(site, site.host).serial_number == before
    site.echoes()


def test_a_name_that_leads_nowhere(site: Site, authority: Authority) -> None:
    before = shown(site, site.host).serial_number
    for names, said in (
        (["nowhere.sandbox.test"], "nowhere.sandbox.test has no address"),
        ([authority.host.domain], f"{authority.host.domain} leads to "),
    ):
        site.write(tls=acme(authority, names=names))
        result = site.pyinfra()
        assert result.code == 1
        assert said in result.output
    assert shown(site, site.host).serial_number == before
    # Without that check, it is for the authority to say so.
    site.write(tls=acme(authority, names=["nowhere.sandbox.test"], check=False))
    result = site.pyinfra()
    assert result.code == 1
    assert "answered: nowhere.sandbox.test: " in result.output
    site.echoes()


def test_another_kind_of_certificate(site: Site, authority: Authority) -> None:
    """RSA at once; then from files, then its own, then the authority's again."""
    site.deploy(tls=acme(authority, key_type="rsa2048"))
    key = shown(site, site.host).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    for host in site.proxies:
        assert "Pebble" in issuer(site, host)
    files = [site.folder / name for name in ("cert.pem", "key.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-noenc", "-newkey", "rsa:2048", "-days", "9", "-subj", "/CN=x",
         "-addext", f"subjectAltName=DNS:{site.host.domain}",
         "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    site.trusted = site.folder / "both.pem"
    site.trusted.write_text(authority.root().read_text() + files[0].read_text())
    with site.under_load(rate=20, held=50) as outcome:
        result = site.deploy(tls=f"CertFiles({str(files[0])!r}, {str(files[1])!r})")
    assert "Proxy | Certificate" in result.changed
    assert outcome["failed"] == {}
    assert outcome["codes"] == {}
    assert shown(site, site.host).subject.rfc4514_string() == "CN=x"
    assert "ws-certificate.timer" not in site.ssh("systemctl list-units --all --plain")
    site.converged()
    site.trusted = None
    site.deploy(tls="SelfSigned()")
    assert site.host.domain in issuer(site)
    site.converged()
    site.deploy(tls=acme(authority))
    assert "Pebble" in issuer(site)
    site.trusted = authority.root()
    site.echoes()
    site.converged()
