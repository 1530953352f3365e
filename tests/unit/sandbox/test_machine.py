from wsdeploy.sandbox.machine import nspawn_command
from wsdeploy.sandbox.state import Record


def test_nspawn_command() -> None:
    command = nspawn_command(Record("ws", "trixie", 11, "/base", "ssh-ed25519 AAAA"))
    assert command[0] == "systemd-nspawn"
    assert {
        "--boot",
        "--register=no",
        "--keep-unit",
        "--machine=wsd-ws",
        "--hostname=ws",
        "--directory=/var/lib/wsdeploy-sandbox/hosts/ws/root",
        "--network-bridge=wsd0",
    } <= set(command)
