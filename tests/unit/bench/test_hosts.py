"""Hosts behind a relay: other addresses, the same keys."""

from pathlib import Path

from bench.deploy import hosts
from wsdeploy_sandbox import SandboxHost


def host(name: str, address: str) -> SandboxHost:
    return SandboxHost(
        name, "bookworm", address, "::1", "root", "/key", f"{name}.test", "running", "unused"
    )


def test_hosts_behind_a_relay_keep_their_keys(tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text(
        "10.0.0.11,fd00::11,b.test ssh-ed25519 KEY11\n10.0.0.1,fd00::1,a.test ssh-ed25519 KEY1\n"
    )
    targets = [
        hosts.Target(host("a", "10.0.0.1"), "10.0.0.1", 22, known),
        hosts.Target(host("b", "10.0.0.11"), "10.0.0.11", 22, known),
    ]
    relayed = hosts.relayed(targets, [4001, 4002], tmp_path / "relayed")
    assert [(t.host.name, t.address, t.port) for t in relayed] == [
        ("a", "127.0.0.1", 4001),
        ("b", "127.0.0.1", 4002),
    ]
    assert (tmp_path / "relayed").read_text() == (
        "[127.0.0.1]:4001 ssh-ed25519 KEY1\n[127.0.0.1]:4002 ssh-ed25519 KEY11\n"
    )


def test_names_tell_what_a_host_is_for() -> None:
    assert hosts.names("script", 2) == ["bdeploy-script-0", "bdeploy-script-1"]
