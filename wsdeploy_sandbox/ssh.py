"""Keys, and reaching hosts with them."""

import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from wsdeploy_sandbox import state
from wsdeploy_sandbox.command import run
from wsdeploy_sandbox.errors import SandboxError


def ensure_key() -> str:
    """Make the key that logs in to all hosts, unless it is there; return its public half."""
    state.KEY.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = state.KEY.with_suffix(".pub")
    if not (state.KEY.exists() and public.exists()):
        state.KEY.unlink(missing_ok=True)
        _generate(state.KEY, "wsdeploy-sandbox")
    return public.read_text().strip()


def make_host_key(private: Path) -> str:
    """Make a host's own key, and return its public half without the comment."""
    private.unlink(missing_ok=True)
    _generate(private, "")
    return " ".join(private.with_name(f"{private.name}.pub").read_text().split()[:2])


def known_hosts_line(names: Iterable[str], public: str) -> str:
    """Return a line of a known_hosts file."""
    return f"{','.join(names)} {public}\n"


def command(user: str, address: str, *words: str, batch: bool = False) -> list[str]:
    """Return an ssh command that looks at no configuration or keys but the sandbox's own.

    With `batch` it never asks anything and gives up connecting after 10 seconds.
    """
    options = {
        "IdentityFile": str(state.KEY),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(state.KNOWN_HOSTS),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "LogLevel": "ERROR",
    }
    if batch:
        options |= {"BatchMode": "yes", "ConnectTimeout": "10"}
    flags = [part for option in options.items() for part in ("-o", "=".join(option))]
    return ["ssh", "-F", "none", *flags, f"{user}@{address}", *words]


def answers(address: str, timeout: float = 0.5) -> bool:
    """Tell whether an SSH server greets at an address within `timeout` seconds."""
    try:
        with socket.create_connection((address, 22), timeout) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def output(user: str, address: str, *words: str, timeout: float) -> str | None:
    """Return what a command on a host prints, or None if it fails or takes `timeout` seconds."""
    try:
        done = subprocess.run(
            command(user, address, *words, batch=True),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _generate(private: Path, comment: str) -> None:
    try:
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private))
    except SandboxError:
        private.unlink(missing_ok=True)
        raise
