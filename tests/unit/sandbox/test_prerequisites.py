import pytest

from wsdeploy_sandbox.prerequisites import has_keys


@pytest.mark.parametrize(
    ("files", "known"),
    [
        (["debian-archive-trixie-stable.gpg"], True),
        (["debian-archive-keyring.pgp", "debian-archive-trixie-stable.pgp"], True),
        (["debian-archive-keyring.gpg", "debian-archive-bookworm-stable.gpg"], False),
        ([], False),
    ],
)
def test_keyring_knows_the_newest_suite(files: list[str], known: bool) -> None:
    assert has_keys(files) == known
