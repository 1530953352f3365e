"""Commands that have to succeed, and what they said if they did not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


class StepError(Exception):
    """A command failed; the message holds what it printed."""


def run(
    commands: Sequence[Sequence[str]], stage: Path | None = None, recovering: bool = False
) -> None:
    """Run commands one after the other. Raises StepError at the first that fails.

    stage: what {stage} stands for in them, the root of a staged tree.
    recovering: they see RECOVERING in their environment, as they bring previous files into effect.
    """
    environment = {**os.environ, "RECOVERING": "yes"} if recovering else None
    for command in commands:
        words = [word.replace("{stage}", str(stage)) if stage else word for word in command]
        # A script is known by the name that it is given, not by its text.
        script = [*command[:2]] in (["sh", "-c"], ["python3", "-c"]) and len(command) > 3
        name = command[3] if script else " ".join(command).replace("{stage}", "")
        try:
            done = subprocess.run(
                words,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise StepError(f"{name} can't be run: {error.strerror}") from error
        if done.returncode:
            # The staged path would only puzzle whoever looks for the file it names.
            output = done.stdout.strip().replace(str(stage), "") if stage else done.stdout.strip()
            raise StepError(f"{name} failed\n{output}")
