"""What a host says of its addresses, and of its ways to others."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wshost.survey import addresses


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `ip` says, by its last words; for others it fails."""
    answers: dict[str, Any] = {}

    def run(words: tuple[str, ...], **_: object) -> SimpleNamespace:
        found = answers.get(words[-1])
        return SimpleNamespace(returncode=int(found is None), stdout=json.dumps(found))

    monkeypatch.setattr(subprocess, "run", run)
    return answers


def test_a_host_with_neighbours_and_others(
    said: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said["show"] = [
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "eth0", "addr_info": [{"local": "10.0.0.1", "prefixlen": 24}]},
        {"ifname": "eth1", "addr_info": []},
        # A tunnel's end has none of its own.
        {"ifname": "tun0", "addr_info": [{"address": "10.8.0.1"}]},
    ]
    said["10.0.0.2"] = [{"dst": "10.0.0.2", "dev": "eth0", "prefsrc": "10.0.0.1"}]
    said["10.9.0.2"] = [{"dst": "10.9.0.2", "gateway": "10.0.0.254", "dev": "eth0"}]
    vendor = tmp_path / "sys_vendor"
    vendor.write_text("Amazon EC2\n")
    monkeypatch.setattr(addresses, "VENDOR", str(vendor))
    monkeypatch.setattr(addresses, "CONTAINER", str(tmp_path / "container"))
    assert addresses.report(["10.0.0.2", "10.9.0.2", "192.168.9.9"]) == {
        "addresses": {"lo": ["127.0.0.1/8"], "eth0": ["10.0.0.1/24"], "tun0": []},
        "routes": {
            "10.0.0.2": {"interface": "eth0", "router": None},
            "10.9.0.2": {"interface": "eth0", "router": "10.0.0.254"},
        },
        "vendor": "Amazon EC2",
    }
    # A container sees the firmware of the machine around it.
    (tmp_path / "container").write_text("systemd-nspawn")
    assert addresses.vendor() == ""


def test_this_machine_answers() -> None:
    assert addresses.report(["127.0.0.1"])["addresses"].get("lo")
