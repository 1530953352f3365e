"""New rules on trial: whatever goes wrong, the previous ones come back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wshost.config import try_firewall
from wshost.requests import TryFirewall

REQUEST: TryFirewall = {
    "name": "ws",
    "rules": "table inet ws {}\n",
    "file": "/etc/ws/firewall.nft",
    "unit": "ws-firewall.service",
    "seconds": 60,
}
PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >>{log}
case "$(basename "$0") $*" in {failing}) echo "no luck" >&2; exit 1 ;; esac
case "$*" in *"--file -") cat >>{log} ;; esac
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], list[str]]]:
    """Make a host on which some commands fail; return a function that tells what was run."""

    def make(failing: str = "none") -> Callable[[], list[str]]:
        log = tmp_path / "log"
        log.touch()
        for name in ("nft", "systemctl", "systemd-run"):
            path = tmp_path / name
            path.write_text(PROGRAM.format(log=log, failing=failing))
            path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return lambda: log.read_text().splitlines()

    return make


def test_a_timer_runs_before_new_rules_are_loaded(
    host: Callable[..., Callable[[], list[str]]],
) -> None:
    ran = host()
    try_firewall.main(REQUEST)
    restore = try_firewall.script("ws", REQUEST["file"], REQUEST["unit"])
    assert ran() == [
        # Of a run that was killed.
        "systemctl stop ws-firewall-back.timer",
        "systemctl reset-failed ws-firewall-back.service",
        "nft list tables",
        "nft --check --file -",
        "table inet ws {}",
        "systemd-run --quiet --collect --unit=ws-firewall-back --on-active=60 "
        f"--timer-property=AccuracySec=1s /bin/sh -c {restore}",
        "nft --file -",
        "table inet ws {}",
    ]


def test_it_ends_at_once(host: Callable[..., Callable[[], list[str]]]) -> None:
    ran = host()
    try_firewall.main({**REQUEST, "back": True})
    # The unit runs: its rules come back.
    assert ran()[-2:] == [
        "systemctl is-active --quiet ws-firewall.service",
        "nft --file /etc/ws/firewall.nft",
    ]


def test_without_rules_before_there_are_none_after(
    host: Callable[..., Callable[[], list[str]]],
) -> None:
    ran = host('"systemctl is-active"*')
    try_firewall.main({**REQUEST, "back": True})
    assert ran()[-1] == "nft table inet ws {}; delete table inet ws"


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ('"nft list"*', r"does not let root filter packets \(no luck\); say firewall=False"),
        ('"nft --check"*', "nft --check failed\nno luck"),
        ("systemd-run*", "systemd-run failed\nno luck"),
        ('"nft --file"*', "could not load the rules\nno luck"),
    ],
)
def test_what_can_not_be_done_is_said_and_not_begun(
    host: Callable[..., Callable[[], list[str]]], failing: str, said: str
) -> None:
    ran = host(failing)
    with pytest.raises(SystemExit, match=said):
        try_firewall.main(REQUEST)
    loaded = [line for line in ran() if line == "nft --file -"]
    assert bool(loaded) == ("could not load" in said)
    if loaded:
        assert ran()[-1] == "systemctl stop ws-firewall-back.timer"
