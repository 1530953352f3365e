"""Certificates between the tiers: when a host changes to others, and whom it trusts."""

import datetime
from typing import Any

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import haproxy, host_keypairs, internal, nginx
from wsdeploy.plan.target import HostCertificates, Target
from wsdeploy.settings import Settings

A1, A2, B1, B2, C1, C2, D1 = (
    f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"
    for text in ("a1", "a2", "b1", "b2", "c1", "c2", "d1")
)


def trusted(
    settings: Settings, survey: Survey, certificates: HostCertificates, peers: tuple[str, ...]
) -> str:
    return host_keypairs.trusted(Target(settings, "one", survey, certificates), peers)


def having(used: str, spare: str, trust: str = "") -> Survey:
    """A host with these certificates of its own, and this list of those that it trusts."""
    found = {
        paths.host_keypair("ws"): {"pem": f"{used}\n", "not_after": "", "names": ""},
        paths.host_keypair("ws", spare=True): {"pem": f"{spare}\n", "not_after": "", "names": ""},
    }
    # The survey has other texts, too: what is not in a list is nobody's.
    others: dict[str, Any] = {"/etc/none": None, "/etc/cert.pem": f"{D1}\n"}
    return Survey(certificates=found, texts={"/etc/list.pem": trust} | others if trust else others)


NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
USED, SPARE = paths.host_keypair("ws"), paths.host_keypair("ws", spare=True)
YEARS = 365


def lasting(used: int | None, spare: int | None) -> Survey:
    """A host whose certificates are good for so many days; None if there is none."""

    def found(days: int | None) -> dict[str, str] | None:
        if days is None:
            return None
        end = NOW + datetime.timedelta(days=days)
        return {"pem": "", "not_after": f"{end:%Y-%m-%d %H:%M:%S}Z", "names": ""}

    return Survey(certificates={USED: found(used), SPARE: found(spare)})


@pytest.mark.parametrize(
    ("used", "spare", "todo"),
    [
        (None, None, [USED, SPARE]),
        (10 * YEARS, 10 * YEARS, []),
        (10 * YEARS, None, [SPARE]),
        (None, 10 * YEARS, ["promote", SPARE]),
        # Both are as old as the fleet: the spare one is changed first, a year before.
        (5 * YEARS, 5 * YEARS, []),
        (4 * YEARS, 4 * YEARS, [SPARE]),
        (4 * YEARS, 10 * YEARS, []),
        (3 * YEARS, 9 * YEARS, ["promote", SPARE]),
        # Nobody has deployed in that year: the others get to know a spare one first.
        (2 * YEARS, 2 * YEARS, [SPARE]),
        (2 * YEARS, 10 * YEARS, ["promote", SPARE]),
        (2 * YEARS, None, [SPARE]),
        # Nobody has for longer still.
        (-1, -1, [USED, SPARE]),
        (-1, 1, ["promote", SPARE]),
    ],
)
def test_when_a_host_changes_to_others(
    tiers: MakeSettings, used: int | None, spare: int | None, todo: list[str]
) -> None:
    assert (
        host_keypairs.work(Target(tiers(internal_tls=True), "one", lasting(used, spare)), NOW)
        == todo
    )


def test_the_whole_list(tiers: MakeSettings) -> None:
    settings = tiers(internal_tls=True)
    text = trusted(settings, having(C1, C2), {"a": (A1, A2), "b": (B1, B2), "x": (C1,)}, ("a", "b"))
    assert text == (
        f"# of a\n{A1}\n# of a\n{A2}\n# of b\n{B1}\n# of b\n{B2}\n"
        f"# of this host\n{C1}\n# of this host\n{C2}\n"
    )
    assert host_keypairs.certificates_in(text) == {
        "a": (A1, A2),
        "b": (B1, B2),
        "this host": (C1, C2),
    }


def test_a_limited_run_keeps_what_is_known_of_others(tiers: MakeSettings) -> None:
    settings = tiers(internal_tls=True)
    before = trusted(settings, having(C1, C2), {"a": (A1, A2), "b": (B1, B2)}, ("a", "b"))
    host = having(C1, C2, before)
    for run in ({}, {"a": (A1, A2)}, {"x": (C1, C2)}):
        assert trusted(settings, host, run, ("a", "b")) == before
    # It has new ones.
    after = trusted(settings, host, {"a": (A2, B1)}, ("a", "b"))
    assert host_keypairs.certificates_in(after)["a"] == (A2, B1)
    assert host_keypairs.certificates_in(after)["b"] == (B1, B2)


def test_who_has_left_is_trusted_no_more(tiers: MakeSettings) -> None:
    settings = tiers(internal_tls=True)
    before = trusted(settings, having(C1, C2), {"a": (A1, A2), "b": (B1, B2)}, ("a", "b"))
    after = trusted(settings, having(C1, C2, before), {"a": (A1, A2)}, ("a",))
    assert B1 not in after
    assert B2 not in after


def test_a_host_that_is_in_both_tiers_is_there_once(tiers: MakeSettings) -> None:
    text = trusted(
        tiers(internal_tls=True), having(A1, A2), {"a": (A1, A2), "b": (B1,)}, ("a", "b")
    )
    assert text.count(A1) == 1
    assert "this host" not in text


def test_who_is_not_known_is_named(tiers: MakeSettings, debian: MakeSurvey) -> None:
    settings = tiers(internal_tls=True)
    complaint = (
        "the certificate of lb2 is not known here, so nothing passes between them; "
        "run without --limit"
    )
    notes = internal.files(Target(settings, "app1", debian(), {"lb1": (A1, A2)})).notes
    assert notes == (complaint,)
    # While hosts are asked, and when they all are in the run.
    assert internal.files(Target(settings, "app1", debian())).notes == ()
    everyone = {"lb1": (A1,), "lb2": ()}
    assert internal.files(Target(settings, "app1", debian(), everyone)).notes == ()


def test_each_tier_trusts_the_other(tiers: MakeSettings, debian: MakeSurvey) -> None:
    settings = tiers(internal_tls=True)
    run = {"app1": (A1,), "app2": (A2,), "lb1": (B1,), "lb2": (B2,)}
    lists = {
        "app1": internal.files(Target(settings, "app1", debian(), run)),
        "lb1": nginx.files(Target(settings, "lb1", debian(), run)),
        "lb2": haproxy.files(Target(settings, "lb2", debian(), run)),
    }
    found = {
        host: {*host_keypairs.certificates_in(file.content)}
        for host, fileset in lists.items()
        for file in fileset.files
        if file.path.endswith(".pem")
    }
    assert found == {"app1": {"lb1", "lb2"}, "lb1": {"app1", "app2"}, "lb2": {"app1", "app2"}}
