"""What a host says of who is there already."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from wshost.survey import neighbours


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let commands print what a test wants, by their first word."""
    answers: dict[str, str] = {}
    monkeypatch.setattr(neighbours, "_output", lambda *command: answers.get(command[0], ""))
    return answers


def test_configuration_of_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: dict[str, Any]
) -> None:
    monkeypatch.setattr(neighbours, "STATE", str(tmp_path / "state"))
    monkeypatch.setattr(neighbours, "CONFIGURED", {"nginx": (f"{tmp_path}/*.conf",)})
    texts = {
        "debians.conf": "as it came",
        "changed.conf": "not as it came",
        "blog.conf": "somebody's",
        "left.conf": f"# a.com\n{neighbours.OURS}, so that package defaults can't interfere.\n",
        "ours.conf": "of another service of this project",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    digest = hashlib.md5(b"as it came", usedforsecurity=False).hexdigest()
    says["dpkg-query"] = "".join(
        f" {tmp_path}/{name} {digest}\n" for name in ("debians.conf", "changed.conf")
    )
    (tmp_path / "state/sets").mkdir(parents=True)
    marker = {"digest": "d", "paths": [f"{tmp_path}/ours.conf"]}
    (tmp_path / "state/sets/chat-nginx.json").write_text(json.dumps(marker))
    (tmp_path / "state/sets/chat-system.json").write_text("{}")
    (tmp_path / "state/sets/ws-system.json").write_text("{}")
    found = neighbours.foreign("nginx")
    assert found == [f"{tmp_path}/blog.conf", f"{tmp_path}/changed.conf"]
    assert neighbours.services("ws") == ["chat"]


def test_who_has_the_ports(says: dict[str, Any]) -> None:
    says["ss"] = (
        "LISTEN 0 511 0.0.0.0:80 0.0.0.0:* cgroup:/system.slice/apache2.service <->\n"
        'LISTEN 0 511 [::]:443 [::]:* users:(("caddy",pid=7,fd=3))\n'
        "LISTEN 0 511 0.0.0.0:22 0.0.0.0:* cgroup:/system.slice/ssh.service\n"
    )
    assert neighbours.ports() == {"80": "apache2.service", "443": "caddy"}


def test_packet_filters_that_drop(says: dict[str, Any]) -> None:
    chain = {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input"}
    chains = [
        {"chain": chain | {"policy": "drop"}},
        {"chain": chain | {"table": "open", "policy": "accept"}},
        {"chain": {"family": "inet", "table": "ws", "hook": "input", "policy": "drop"}},
        {"metainfo": {}},
    ]
    says["nft"] = json.dumps({"nftables": chains})
    (found,) = neighbours.filters("ws")
    assert (found["table"], found["chain"]) == ("ip filter", "INPUT")
    says["nft"] = "no JSON"
    assert neighbours.filters("ws") == []


def test_a_service_that_has_been_here(tmp_path: Path, says: dict[str, Any]) -> None:
    marker = tmp_path / "marker"
    assert neighbours.report("ws", [str(marker)]) is not None
    marker.touch()
    assert neighbours.report("ws", [str(marker)]) is None
