"""Certificates that are good enough, and what TLS offers with which versions."""

import datetime
from pathlib import Path

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy import Acme, CertFiles, SelfSigned
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.survey import PathState, Survey
from wsdeploy.plan.proxy import tls
from wsdeploy.plan.target import Target

NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
DOMAIN = "ws.a-company.com"
KEY = PathState("file", 0o600, "root", "root")


def host(
    names: str | None, ends: str = "2027-05-01 00:00:00Z", key: bool = True, issuer: str = "itself"
) -> Survey:
    found = None if names is None else {"names": names, "not_after": ends, "issuer": issuer}
    return Survey(
        paths={paths.key("ws"): KEY} if key else {},
        certificates={paths.certificate("ws"): found},
    )


GOOD = f"DNS:{DOMAIN}"


GOOD_ONES = [
    ((), host(GOOD)),
    (("b.a-company.com",), host(f"{GOOD}, DNS:b.a-company.com")),
    (("b.a-company.com",), host(f"DNS:b.a-company.com, {GOOD}")),
    (("10.0.0.1",), host(f"{GOOD}, IP Address:10.0.0.1")),
    (("::1",), host(f"{GOOD}, IP Address:0:0:0:0:0:0:0:1")),
    (("2001:0DB8::A",), host(f"{GOOD}, IP Address:2001:DB8:0:0:0:0:0:A")),
    (("::ffff:10.0.0.1",), host(f"{GOOD}, IP Address:0:0:0:0:0:FFFF:A00:1")),
    ((DOMAIN,), host(GOOD)),
    # A third of 365 days is 121.7 days.
    ((), host(GOOD, "2026-10-02 00:00:00Z")),
]
OUTDATED = [
    ((), Survey(), "there is none"),
    ((), host(None), "there is none"),
    ((), host(GOOD, key=False), "there is none"),
    ((), host("DNS:other.a-company.com"), "it is for other.a-company.com"),
    ((), host(""), "it is for"),
    (("10.0.0.1",), host(GOOD), f"it is for {DOMAIN}"),
    ((), host(f"{GOOD}, IP Address:10.0.0.1"), "it is for 10.0.0.1, ws.a-company.com"),
    (("::2",), host(f"{GOOD}, IP Address:0:0:0:0:0:0:0:1"), "it is for 0:0:0:0:0:0:0:1"),
    ((), host(GOOD, "2026-09-30 00:00:00Z"), "it ends on 2026-09-30"),
    ((), host(GOOD, "2026-05-31 00:00:00Z"), "it ends on 2026-05-31"),
    ((), host(GOOD, issuer="CN = Some CA"), "it is from CN = Some CA"),
]


def test_good(make: MakeSettings) -> None:
    for names, survey in GOOD_ONES:
        assert (
            tls.outdated(Target(make(tls=SelfSigned(names=names)), "one", survey), NOW) is None
        ), names


def test_outdated(make: MakeSettings) -> None:
    for names, survey, reason in OUTDATED:
        found = tls.outdated(Target(make(tls=SelfSigned(names=names)), "one", survey), NOW)
        assert found is not None, reason
        assert found.startswith(reason)


def test_files_of_the_user_are_not_ours_to_renew(make: MakeSettings) -> None:
    old = host("DNS:other.a-company.com", "2026-05-31 00:00:00Z", issuer="CN = Some CA")
    for theirs in (CertFiles("c.pem", "k.pem"), Acme("ops@a-company.com")):
        assert tls.outdated(Target(make(tls=theirs), "one", old), NOW) is None
        assert tls.outdated(Target(make(tls=theirs), "one", Survey()), NOW) == "there is none"


@pytest.mark.parametrize(
    ("version", "hybrid", "rotates"), [("12", False, False), ("13", True, True)]
)
def test_policy_by_debian_version(
    make: MakeSettings, debian: MakeSurvey, version: str, hybrid: bool, rotates: bool
) -> None:
    policy = tls.policy(Target(make(), "one", debian(version)))
    assert ("?X25519MLKEM768" in policy["curves"]) is hybrid
    assert policy["rotates_ticket_keys"] is rotates
    assert "X25519" in policy["curves"]
    assert all(cipher.startswith("ECDHE-") for cipher in policy["ciphers"])


def test_policy_of_a_host_without_packages_is_the_careful_one(
    make: MakeSettings, debian: MakeSurvey
) -> None:
    assert tls.policy(Target.unknown(make(), "one")) == tls.policy(
        Target(make(), "one", debian("12"))
    )


def test_modern_is_tls_1_3_only(make: MakeSettings, debian: MakeSurvey) -> None:
    for kind in (SelfSigned(policy="modern"), CertFiles("c.pem", "k.pem", policy="modern")):
        assert tls.policy(Target(make(tls=kind), "one", debian()))["versions"] == ("TLSv1.3",)
    assert tls.policy(Target(make(), "one", debian()))["versions"] == ("TLSv1.2", "TLSv1.3")


def test_versions() -> None:
    for package, numbers in {
        "1.22.1-9+deb12u10": (1, 22, 1),
        "1.26.3-3+deb13u10": (1, 26, 3),
        "3.0.22-1~deb12u2": (3, 0, 22),
        "3.5.7-1~deb13u3": (3, 5, 7),
        "2:1.10.0~rc1-1": (1, 10, 0),
        "3.10-1": (3, 10),
        "1.26.0~bpo12": (1, 26, 0),
        "": (0,),
    }.items():
        assert tls.version(package) == numbers


def test_versions_are_compared_as_numbers() -> None:
    assert tls.version("3.10.0-1") > tls.version("3.5.7-1")
    assert tls.version("1.9.9") < tls.TICKET_ROTATION_SINCE <= tls.version("1.23.2")


def test_names_of_a_certificate(make: MakeSettings) -> None:
    settings = make(tls=SelfSigned(names=("b.a-company.com", "10.0.0.1", "::1", DOMAIN)))
    assert tls.names(settings) == (DOMAIN, "b.a-company.com", "10.0.0.1", "::1")
    assert tls.alternative_names(settings) == (
        f"DNS:{DOMAIN},DNS:b.a-company.com,IP:10.0.0.1,IP:::1"
    )


def test_pushed_files(make: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("a certificate")
    (tmp_path / "k.pem").write_text("a key")
    settings = make(tls=CertFiles(str(tmp_path / "c.pem"), str(tmp_path / "k.pem")))
    by_path = {file.path: file for file in tls.pushed(Target(settings, "one", Survey())).files}
    key, certificate = by_path[paths.key("ws")], by_path[paths.certificate("ws")]
    assert (key.content, key.mode, key.secret) == ("a key", 0o600, True)
    assert (certificate.content, certificate.secret) == ("a certificate", False)
    asked = tls.request(settings).paths
    assert {paths.key("ws"), paths.certificate("ws")} <= set(asked)
