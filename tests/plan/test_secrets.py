"""Nothing that a run prints or sends as a command holds a secret, however talkative it is."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.plan.conftest import Converged, Deploy, Fleet, MakeFleet
from wshost import requests
from wshost.certificates import self_signed

ENV = "env={'TOKEN': 's3cret-value', 'URL': 'https://u:h1dden@x/'}"


@pytest.fixture
def pair(folder: Path) -> tuple[Path, Path]:
    """A certificate and its key, as a user has them in files."""
    request: requests.SelfSigned = {
        "name": "ws.a-company.com",
        "alternative_names": "DNS:ws.a-company.com",
        "activate": [],
        "days": 30,
        "certificate": str(folder / "cert.pem"),
        "key": str(folder / "key.pem"),
    }
    self_signed.make(request, folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def secret_lines(pair: tuple[Path, Path]) -> list[str]:
    """Every line of the key's file that is nobody else's."""
    key = serialization.load_pem_private_key(pair[1].read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return [line for line in pair[1].read_text().splitlines() if not line.startswith("---")]


@pytest.fixture
def fleet(alone: MakeFleet, pair: tuple[Path, Path]) -> Fleet:
    """A host with variables and a key that are nobody's business."""
    return alone(app=ENV, tls=f"CertFiles({str(pair[0])!r}, {str(pair[1])!r})")


@pytest.mark.parametrize(
    "options",
    [("-y", "-vvv", "--diff", "--debug"), ("--dry", "-vvv", "--diff", "--json")],
    ids=" ".join,
)
def test_output(
    deploy: Deploy,
    fleet: Fleet,
    bare: Converged,
    secret_lines: list[str],
    options: tuple[str, str, str, str],
) -> None:
    done = deploy(fleet, bare(fleet), *options)
    assert done.code == 0, done.said
    if "--json" not in options:
        assert "nginx.conf" in done.said, "differences are shown"
        assert "ssl_protocols" in done.said
    for secret in ("s3cret-value", "h1dden", *secret_lines):
        assert secret not in done.said


def test_output_of_a_failure(
    deploy: Deploy, fleet: Fleet, bare: Converged, secret_lines: list[str]
) -> None:
    failing = {"@fake/one": {"wsdeploy-rollout": {"success": False, "stderr": "no"}}}
    done = deploy(fleet, bare(fleet), "-y", "-vvv", "--diff", "--debug", others=failing)
    assert done.code == 1
    for secret in ("s3cret-value", "h1dden", *secret_lines):
        assert secret not in done.said


def test_a_changed_key_is_a_change_whose_content_is_not_shown(
    deploy: Deploy,
    alone: MakeFleet,
    pair: tuple[Path, Path],
    converged: Converged,
    secret_lines: list[str],
) -> None:
    tls = f"CertFiles({str(pair[0])!r}, {str(pair[1])!r})"
    fleet = alone("still", "changed", tls=tls)
    surveys = converged(fleet)
    surveys["@fake/changed"]["paths"]["/etc/ws/tls/key.pem"]["sha256"] = "0" * 64
    done = deploy(fleet, surveys, "-y", "--diff", "-vvv", "--debug")
    assert done.code == 0, done.said
    assert "apply_files" in done.programs_of("changed")
    assert "apply_files" not in done.programs_of("still")
    assert "Will modify /etc/ws/tls/key.pem (mode 0600)" in done.said
    assert not [line for line in secret_lines if line in done.said]
