"""What pyinfra's command line says of a run, before pyinfra has looked at it. Pure but for signals.

pyinfra takes the path of an inventory that does not exist for a host's name, asks where nobody is
to answer, and calls a run that was interrupted a success.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

INTERRUPTED = 128 + signal.SIGINT
"""The exit code of a program that Ctrl-C has ended, as shells have it."""


def problem(arguments: Sequence[str]) -> str | None:
    """Return why a run with these arguments of pyinfra can't begin, or None."""
    # The first is the inventory; what comes after it may be a path on a host.
    path = next((word for word in arguments if word.endswith(".py")), None)
    if path and not Path(path).is_file():
        return f"{path}: no such file in {Path.cwd()}; no host was contacted"
    return None


def deploys(arguments: Sequence[str]) -> bool:
    """Tell whether a run needs the app's code and secrets: all do but those of our own commands."""
    operations = [word for word in arguments if word.startswith("wsdeploy.")]
    return not operations or any(word.endswith("deploy.py") for word in arguments)


def begin() -> None:
    """Let a run begin, or end it with a line; called by config.py, which pyinfra reads first."""
    if Path(sys.argv[0]).stem not in ("pyinfra", "__main__"):
        return
    complaint = problem(sys.argv[1:])
    if complaint:
        print(complaint, file=sys.stderr)
        raise SystemExit(1)
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, _interrupted)


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """End the run, and say what goes on; a second Ctrl-C ends it at once."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    print(
        "interrupted; what a host was doing it does to its end: a new release that its gate lets "
        "through is live then, and the old one drains.\n"
        "What serves where: pyinfra -y INVENTORY wsdeploy.releases. The same command again goes "
        "on from there.",
        file=sys.stderr,
    )
    raise SystemExit(INTERRUPTED)
