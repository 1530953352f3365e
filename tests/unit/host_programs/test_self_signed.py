"""Certificates that a host makes for itself."""

import datetime
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wsdeploy import App, SelfSigned, Settings
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.survey import PathState as Found
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import tls
from wsdeploy.plan.target import Target
from wshost import requests
from wshost.certificates import self_signed
from wshost.survey import certificates

NOW = datetime.datetime.now(datetime.UTC)


MakeSettings = Callable[..., Settings]


@pytest.fixture
def settings() -> MakeSettings:
    def make(*names: str, days: int = 90, domain: str = "ws.a-company.com") -> Settings:
        return Settings(domain, App("app.py"), SelfSigned(names=names, days=days))

    return make


MakeCertificate = Callable[[Settings], Survey]


@pytest.fixture
def made(tmp_path: Path) -> MakeCertificate:
    """Make what the settings want, and return what a survey would say of it."""

    def make(settings: Settings) -> Survey:
        assert isinstance(settings.tls, SelfSigned)
        pem, key = tmp_path / "cert.pem", tmp_path / "key.pem"
        request: requests.SelfSigned = {
            "name": settings.domain,
            "alternative_names": tls.alternative_names(settings),
            "days": settings.tls.days,
            "certificate": str(pem),
            "key": str(key),
            "activate": [],
        }
        self_signed.make(request, pem, key)
        found: Any = certificates.read(str(pem))
        return Survey(
            paths={paths.key(settings.name): Found("file", 0o600, "root", "root")},
            certificates={paths.certificate(settings.name): found},
        )

    return make


def test_what_is_made_is_what_is_wanted(settings: MakeSettings, made: MakeCertificate) -> None:
    # The contract between this program, the survey, and wsdeploy.plan.proxy.tls.
    for names in (
        (),
        ("10.0.0.1",),
        ("2001:db8::1", "::1"),
        ("b.a-company.com", "a.a-company.com"),
    ):
        assert tls.outdated(Target(settings(*names), "one", made(settings(*names))), NOW) is None
    for days in (2, 825):
        assert (
            tls.outdated(Target(settings(days=days), "one", made(settings(days=days))), NOW) is None
        )


def test_a_long_domain(settings: MakeSettings, made: MakeCertificate) -> None:
    domain = ".".join(["a" * 60] * 4)
    assert (
        tls.outdated(Target(settings(domain=domain), "one", made(settings(domain=domain))), NOW)
        is None
    )


def test_key_and_certificate_belong_together(
    settings: MakeSettings, made: MakeCertificate, tmp_path: Path
) -> None:
    made(settings())
    key = load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    leaf = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    assert leaf.public_key() == key.public_key()
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.value.ca is False
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "cert.pem").stat().st_mode) == 0o644
    assert sorted(os.listdir(tmp_path)) == ["cert.pem", "key.pem"]


def test_failure_leaves_the_old_pair(
    settings: MakeSettings, made: MakeCertificate, tmp_path: Path
) -> None:
    made(settings())
    before = [(tmp_path / name).read_bytes() for name in ("cert.pem", "key.pem")]
    request: requests.SelfSigned = {
        "name": "x",
        "alternative_names": "NONSENSE:x",
        "days": 2,
        "certificate": str(tmp_path / "cert.pem"),
        "key": str(tmp_path / "key.pem"),
        "activate": [],
    }
    with pytest.raises(SystemExit) as ended:
        self_signed.main(request)
    assert str(ended.value).startswith("certificate: ")
    assert "NONSENSE" in str(ended.value), "what OpenSSL said"
    assert [(tmp_path / name).read_bytes() for name in ("cert.pem", "key.pem")] == before
    assert sorted(os.listdir(tmp_path)) == ["cert.pem", "key.pem"]


def test_main_activates(settings: MakeSettings, tmp_path: Path) -> None:
    request: requests.SelfSigned = {
        "name": "ws.a-company.com",
        "alternative_names": "DNS:ws.a-company.com",
        "days": 2,
        "certificate": str(tmp_path / "cert.pem"),
        "key": str(tmp_path / "key.pem"),
        "activate": [["cp", str(tmp_path / "cert.pem"), str(tmp_path / "seen.pem")]],
    }
    self_signed.main(request)
    assert (tmp_path / "seen.pem").read_bytes() == (tmp_path / "cert.pem").read_bytes()
