"""When a certificate is due, what an answer to a challenge is, and how a pair is put in place."""

import datetime
import http.server
import json
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wshost.certificates import (
    acme_account,
    acme_precheck,
    keypair,
    renewal,
    self_signed,
    verify_served,
)
from wshost.common import commands
from wshost.requests import Account, Order, SelfSigned

NAME = "ws.a-company.com"
ORDER: Order = {"names": [NAME], "key_type": "ec256", "directory_url": "https://ca.test/dir"}


MakeCertificate = Callable[..., SimpleNamespace]


@pytest.fixture
def make(tmp_path: Path) -> MakeCertificate:
    """Make a certificate and its key, valid for some days, as if an order had been for it."""

    def make(folder: str = "tls", days: int = 90, order: Order | None = ORDER) -> SimpleNamespace:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        files = place / "cert.pem", place / "key.pem"
        request: SelfSigned = {
            "name": NAME, "alternative_names": f"DNS:{NAME}", "days": days,
            "certificate": str(files[0]), "key": str(files[1]), "activate": [],
        }  # fmt: skip
        self_signed.make(request, *files)
        issued = place / "issued.json"
        if order is not None:
            issued.write_text(json.dumps(order))
        return SimpleNamespace(certificate=files[0], key=files[1], issued=issued)

    return make


def due(made: SimpleNamespace, days: float = 0, order: Order = ORDER) -> str | None:
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    return renewal.due(made.certificate, made.key, made.issued, order, now)


@pytest.mark.parametrize(("days", "good_until"), [(90, 60), (45, 30), (6, 3)])
def test_it_is_renewed_when_a_third_is_left_of_a_short_one_half(
    make: MakeCertificate, days: int, good_until: int
) -> None:
    made = make(days=days)
    assert due(made, good_until - 0.1) is None
    assert (due(made, good_until + 0.1) or "").startswith("the old one ends on ")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": [NAME, "b.a-company.com"]}, "the names are others"),
        ({"key_type": "rsa2048"}, "the key is to be of another type"),
        ({"directory_url": "https://other.test"}, "the authority is another"),
    ],
)
def test_another_order_is_due_at_once(
    make: MakeCertificate, change: dict[str, Any], reason: str
) -> None:
    assert due(make(), order=cast(Order, ORDER | change)) == reason


def test_what_is_not_from_the_authority_is_due(make: MakeCertificate) -> None:
    assert due(make(order=None)) == "there is none from the authority"
    made = make()
    made.key.unlink()
    assert due(made) == "there is none from the authority"


def test_halves_of_two_pairs_are_due(make: MakeCertificate) -> None:
    one, other = make("one"), make("other")
    one.key.write_bytes(other.key.read_bytes())
    assert due(one) == "the old one and its key do not belong together"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_pair_is_in_place_when_it_is_activated(make: MakeCertificate, tmp_path: Path) -> None:
    old, new = make("old"), make("new")
    wanted = new.certificate.read_bytes(), new.key.read_bytes()
    seen = tmp_path / "seen"
    keypair.install(
        (new.certificate, new.key),
        (old.certificate, old.key),
        [["cp", str(old.certificate), str(seen)]],
    )
    assert (old.certificate.read_bytes(), old.key.read_bytes()) == wanted
    assert seen.read_bytes() == wanted[0]
    assert (mode(old.certificate), mode(old.key)) == (0o644, 0o600)


def test_what_a_killed_run_has_left_goes(make: MakeCertificate) -> None:
    made = make()
    (made.key.parent / "new-abc").mkdir()
    (made.key.parent / "new-abc" / "key").write_text("secret")
    keypair.clear(made.key)
    assert sorted(path.name for path in made.key.parent.iterdir()) == [
        "cert.pem", "issued.json", "key.pem",
    ]  # fmt: skip


def test_a_pair_that_is_not_used_goes_back(make: MakeCertificate, tmp_path: Path) -> None:
    old, new = make("old"), make("new")
    before = old.certificate.read_bytes(), old.key.read_bytes()
    script = f'cat {old.certificate} >>{tmp_path}/seen; test -n "${{RECOVERING:-}}"'
    with pytest.raises(commands.StepError, match="The previous certificate is back"):
        keypair.install(
            (new.certificate, new.key),
            (old.certificate, old.key),
            [["sh", "-c", script, "try"]],
        )
    assert (old.certificate.read_bytes(), old.key.read_bytes()) == before
    assert (tmp_path / "seen").read_bytes().endswith(before[0]), "the proxy was told again"
    assert mode(old.key) == 0o600
    assert not list(old.key.parent.glob("new-*"))


def test_the_account_key_is_made_once_and_has_the_thumbprint_of_rfc_7638(tmp_path: Path) -> None:
    acme_account.make(tmp_path)
    key = (tmp_path / "account.pem").read_bytes()
    acme_account.make(tmp_path)
    assert (tmp_path / "account.pem").read_bytes() == key
    assert mode(tmp_path / "account.pem") == 0o600
    private = load_pem_private_key(key, None)
    assert isinstance(private, EllipticCurvePrivateKey)
    numbers = private.public_key().public_numbers()
    x, y = (acme_account._base64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
    text = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-binary"], input=text.encode(), capture_output=True,
        check=True,
    ).stdout  # fmt: skip
    assert (tmp_path / "thumbprint").read_text() == acme_account._base64(digest)


def test_only_the_receiving_host_can_read_the_account_key(
    make: MakeCertificate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, third = (tmp_path / name for name in ("a", "b", "c"))
    for folder in (one, other, third):
        folder.mkdir()
    acme_account.main({"folder": str(one)})
    made, stranger = make("own"), make("stranger")
    acme_account.main({"folder": str(one), "seal_for": made.certificate.read_text()})
    sealed = capsys.readouterr().out
    request: Account = {
        "folder": str(other),
        "sealed": sealed,
        "certificate": str(made.certificate),
        "key": str(made.key),
    }
    acme_account.main(request)
    for name in ("account.pem", "thumbprint"):
        assert (other / name).read_bytes() == (one / name).read_bytes()
    request |= {"certificate": str(stranger.certificate), "key": str(stranger.key)}
    with pytest.raises(SystemExit, match="account: "):
        acme_account.main({**request, "folder": str(third)})
    assert not list(third.iterdir())
    acme_account.main({"folder": str(third), "seal_for": made.certificate.read_text()})
    assert capsys.readouterr().out == "", "it has none"


@pytest.fixture
def proxy() -> Iterator[int]:
    """Port 80 of a proxy that answers challenges for an account."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.path.removeprefix(acme_precheck.PATH)
            self.send_response(200 if token != self.path else 404)
            self.end_headers()
            self.wfile.write(f"{token}.our-thumbprint".encode())

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_challenge_is_answered(proxy: int) -> None:
    acme_precheck.check("127.0.0.1", "our-thumbprint", proxy)


@pytest.mark.parametrize(
    ("name", "thumbprint", "said"),
    [
        ("127.0.0.1", "another", "leads to 127.0.0.1, where port "),
        ("nowhere.invalid", "any", "nowhere.invalid has no address"),
    ],
)
def test_a_challenge_that_would_fail(proxy: int, name: str, thumbprint: str, said: str) -> None:
    with pytest.raises(acme_precheck.ChallengeError, match=said):
        acme_precheck.check(name, thumbprint, proxy)


def test_nobody_at_the_door() -> None:
    with pytest.raises(acme_precheck.ChallengeError, match="Connection refused"):
        acme_precheck.check("127.0.0.1", "any", 1)


def test_the_first_certificate_of_a_chain(make: MakeCertificate) -> None:
    made, other = make("one"), make("other")
    text = made.certificate.read_text() + other.certificate.read_text()
    made.certificate.write_text(f"# a comment\n{text}")
    leaf = x509.load_der_x509_certificate(verify_served.first(made.certificate))
    assert leaf.public_key() == load_pem_private_key(made.key.read_bytes(), None).public_key()


def test_it_needs_nothing_but_itself(make: MakeCertificate) -> None:
    """As a command of a set of files; for a unit that does not run there is nothing to see."""
    made = make()
    text = Path(verify_served.__file__).read_text()
    subprocess.run(
        [sys.executable, "-c", text, "served", NAME, made.certificate, "no-such.service"],
        check=True,
    )
