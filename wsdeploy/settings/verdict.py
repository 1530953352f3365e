"""What a place where the service can run makes of a setting: keeps it, says so, or refuses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """What becomes of a setting in one place."""

    kind: Literal["kept", "told", "refused"]
    """Whoever gives a setting that is `told` is told so, and goes on."""
    words: str
    """By what it is kept, who does it instead, or what an error says is to be done."""
    values: tuple[object, ...] = ()
    """Beside the default, values of a refused setting that say what is so anyway."""


def kept(by: str) -> Verdict:
    """Say that a setting does what it does on hosts, and what does it."""
    return Verdict("kept", by)


def told(words: str) -> Verdict:
    """Say what a setting does not do there, or what does it otherwise."""
    return Verdict("told", words)


def refuse(words: str, *values: object) -> Verdict:
    """Say why a setting is refused, and what to do. values: those that are not."""
    return Verdict("refused", words, values)
