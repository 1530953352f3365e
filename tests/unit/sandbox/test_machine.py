from pathlib import Path

import pytest

from wsdeploy_sandbox import machine
from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.machine import nspawn_command
from wsdeploy_sandbox.state import Record


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


def test_a_layer_lies_on_the_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, layer = tmp_path / "base", tmp_path / "layer"
    commands = []
    monkeypatch.setattr(machine, "run", lambda *words: commands.append(words))
    # A host of that name may be there, of `make sandbox`.
    monkeypatch.setattr(machine, "mounts", list)
    record = Record("ws", "trixie", 11, str(base), "ssh-ed25519 AAAA", layer=str(layer))
    base.mkdir()
    with pytest.raises(SandboxError, match=rf"because {layer}, which it lies on, has been deleted"):
        machine.mount(record)
    layer.mkdir()
    machine.mount(record)
    ((*_, options, _),) = commands
    assert f"lowerdir={layer}:{base},upperdir=" in options
