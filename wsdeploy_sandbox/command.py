"""Running the programs that the sandbox is made of."""

import subprocess
from collections.abc import Sequence

from wsdeploy_sandbox.errors import SandboxError


def run(*command: str, stdin: str | None = None) -> str:
    """Run a program and return its output.

    Raises SandboxError, with the program's own last words, when it is missing or fails.
    """
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SandboxError(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise SandboxError(f"`{' '.join(command)}` failed ({done.returncode}): {said}")
    return done.stdout


def succeeds(command: Sequence[str]) -> bool:
    """Tell whether a program exists and exits with 0; what it prints is dropped."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
