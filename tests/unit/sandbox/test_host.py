import pytest

from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.host import SandboxHost, check_suite, parse_requests


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        (["ws"], {"ws": None}),
        (["ws:trixie", "app-1"], {"ws": "trixie", "app-1": None}),
        (["ws", "ws:trixie"], {"ws": "trixie"}),
        (["ws:trixie", "ws"], {"ws": "trixie"}),
        (["b", "a"], {"b": None, "a": None}),
    ],
)
def test_requests(requests: list[str], expected: dict[str, str | None]) -> None:
    parsed = parse_requests(requests)
    assert parsed == expected
    assert list(parsed) == list(expected)


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        (["ws:sid"], "ws:sid: unknown suite 'sid', choose bookworm or trixie"),
        (["ws:"], "ws:: unknown suite '', choose bookworm or trixie"),
        (["ws:trixie", "ws:bookworm"], "ws is asked for both with trixie and with bookworm"),
        *(
            (
                [name],
                f"{name!r} can't be a host's name: use up to 32 of a-z, 0-9 and -, starting with "
                "a letter and not ending with -",
            )
            for name in ("", "WS", "1a", "a_b", "a-", "-a", "a.b", "../x", "localhost", "a" * 33)
        ),
    ],
)
def test_bad_requests(requests: list[str], message: str) -> None:
    with pytest.raises(SandboxError) as error:
        parse_requests(requests)
    assert str(error.value) == message


def test_a_host_keeps_its_suite() -> None:
    check_suite("ws", None, "trixie")
    check_suite("ws", "trixie", "trixie")
    with pytest.raises(SandboxError, match=r"^ws already exists with trixie; to have it with book"):
        check_suite("ws", "bookworm", "trixie")


def test_data_for_pyinfra() -> None:
    host = SandboxHost(
        name="ws",
        suite="trixie",
        address="10.0.0.2",
        address6="fd00::2",
        user="root",
        key="/state/key",
        domain="ws.sandbox.test",
        state="running",
        known_hosts="/state/known_hosts",
    )
    assert host.ssh_data() == {
        "ssh_hostname": "10.0.0.2",
        "ssh_user": "root",
        "ssh_key": "/state/key",
        "ssh_known_hosts_file": "/state/known_hosts",
        "ssh_strict_host_key_checking": "yes",
    }
    assert host.ssh_data("admin")["ssh_user"] == "admin"
    assert {"name", "suite", "address", "address6", "user", "key"} <= set(host.as_json())
