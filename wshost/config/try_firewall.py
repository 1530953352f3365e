"""Load new rules of the packet filter for a trial, after which this host takes them back by itself.

Rules that are wrong can lock everybody out, and nobody notices over a connection that was there
before. So a timer brings the previous rules back; whoever has come in by a new connection stops
it. The previous rules are those on disk, or none.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wshost.requests import TryFirewall


def main(request: TryFirewall) -> None:
    """Try rules, or take them back; exit 1 with the reason if that can't be done."""
    name, back = request["name"], f"{request['name']}-firewall-back"
    # Of a run that was killed during a trial.
    _run("systemctl", "stop", f"{back}.timer")
    _run("systemctl", "reset-failed", f"{back}.service")
    restore = script(name, request["file"], request["unit"])
    if request.get("back"):
        _must("taking the rules back", "sh", "-c", restore)
        return
    allowed = _run("nft", "list", "tables")
    if allowed.returncode:
        reason = allowed.stdout.strip().splitlines()
        sys.exit(
            f"this host does not let root filter packets ({reason[0] if reason else 'nft'}); "
            "say firewall=False, and protect it from outside"
        )
    _must("nft --check", "nft", "--check", "--file", "-", text=request["rules"])
    _must(
        "systemd-run",
        *("systemd-run", "--quiet", "--collect", f"--unit={back}"),
        *(f"--on-active={request['seconds']}", "--timer-property=AccuracySec=1s"),
        *("/bin/sh", "-c", restore),
    )
    loaded = _run("nft", "--file", "-", text=request["rules"])
    if loaded.returncode:
        _run("systemctl", "stop", f"{back}.timer")
        sys.exit(f"nft could not load the rules\n{loaded.stdout.strip()}")


def script(name: str, file: str, unit: str) -> str:
    """Return the shell command that brings back what was in force before a trial."""
    return (
        f"if systemctl is-active --quiet {unit}; then exec nft --file {file}; fi; "
        f"exec nft 'table inet {name} {{}}; delete table inet {name}'"
    )


def _run(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        sys.exit(f"{command[0]} can't be run: {error.strerror}")


def _must(what: str, *command: str, text: str = "") -> None:
    done = _run(*command, text=text)
    if done.returncode:
        sys.exit(f"{what} failed\n{done.stdout.strip()}")
