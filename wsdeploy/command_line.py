"""What the words of a run's command line say of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

Action = Literal["deploy", "rollback", "restart"]
"""What a run does to what serves."""

AGAIN: Mapping[str, Action] = {
    "wsdeploy.rollback": "rollback",
    "wsdeploy.restart": "restart",
}
"""Commands that change what serves without the app's code."""

LOOKING = ("wsdeploy.status", "wsdeploy.logs")
"""Commands that show what goes on, and change nothing."""


def inventory(arguments: Sequence[str]) -> str | None:
    """Return the inventory file that a run is for, if it names one."""
    # What comes after it may be a path on a host.
    values = {index + 1 for index, word in enumerate(arguments) if word == "--config"}
    found = (w for index, w in enumerate(arguments) if w.endswith(".py") and index not in values)
    return next(found, None)


def typed_inventory(arguments: Sequence[str]) -> str:
    """Return the inventory file of a run as a shell takes it, or nothing.

    >>> typed_inventory(["-y", "my fleet/prod.py", "deploy.py"])
    "'my fleet/prod.py'"
    """
    return shlex.quote(found) if (found := inventory(arguments)) else ""


def problem(arguments: Sequence[str]) -> str | None:
    """Return why a run with these arguments of pyinfra can't begin, or None."""
    path = inventory(arguments)
    return missing(path) if path else None


def missing(path: str) -> str | None:
    """Return what to say of an inventory file that is not there; None if it is."""
    if Path(path).is_file():
        return None
    return f"{path}: no such file in {Path.cwd()}; no host was contacted"


def several(path: str) -> str:
    """Return what to say of an inventory file that would deploy to several places."""
    return (
        f"{path} has more than one of hosts, clusters and platforms; give each an inventory of its "
        "own"
    )


def deploys(arguments: Sequence[str]) -> bool:
    """Tell whether a run needs the app's code and secrets: all do but those of our own commands."""
    operations = [word for word in arguments if word.startswith("wsdeploy.")]
    return not operations or any(word.endswith("deploy.py") for word in arguments)


def looks(arguments: Sequence[str]) -> bool:
    """Tell whether a run only shows what goes on, and says nothing else."""
    return any(word in LOOKING for word in arguments)


def bundles(arguments: Sequence[str]) -> bool:
    """Tell whether this is `wsdeploy bundle`, whose inventory is of machines yet to come."""
    return [*arguments[:1]] == ["bundle"]


def dry(arguments: Sequence[str]) -> bool:
    """Tell whether a run only says what it would do."""
    return "--dry" in arguments


def command(arguments: Sequence[str]) -> tuple[Action, str] | None:
    """Return what a run does to what serves, and the words that tell it to; None if nothing."""
    path = inventory(arguments)
    if path is None:
        return None
    words = arguments[arguments.index(path) + 1 :]
    for index, word in enumerate(words):
        if word in AGAIN:
            again = [word, *_arguments(words[index + 1 :])]
            return AGAIN[word], " ".join(map(shlex.quote, again))
    files = [word for word in words if word.endswith(".py")]
    return ("deploy", " ".join(files)) if files else None


def _arguments(words: Sequence[str]) -> Iterator[str]:
    """Yield the arguments of a command among the words after it, which may be options, too."""
    for before, word in zip(("", *words), words, strict=False):
        # The value of an option can look the same.
        if "=" in word and not word.startswith("-") and before != "--data":
            yield word
