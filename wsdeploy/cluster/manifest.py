"""Objects of Kubernetes as data, and as the YAML that people and programs read. Pure.

YAML is written here because its readers do not agree on what a word without quotes is: PyYAML
writes the string 1e3 without them, which Kubernetes takes for a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = dict[str, Any]
"""An object as Kubernetes has it in JSON."""

# What every reader takes for a string. All else is in quotes.
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)*")
NOT_STRINGS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def argument(word: str) -> str:
    """Return a word of a command as pods and their probes have it.

    Kubernetes replaces $(NAME) by a variable there, and $$ by $.

    >>> argument("$(HOME)"), argument("a$$b"), argument("$HOME")
    ('$$(HOME)', 'a$$$b', '$HOME')
    """
    return re.sub(r"\$(?=[$(])", "$$", word)


def text(value: Object) -> str:
    """Return an object as a YAML document, the same for the same object.

    >>> print(text({"kind": "Pod", "on": [{"a": 1}, "yes"]}), end="")
    kind: Pod
    "on":
      - a: 1
      - "yes"
    """
    return "\n".join(_mapping(value)) + "\n"


def _mapping(value: Mapping[str, Any]) -> Iterator[str]:
    for key, item in value.items():
        lines = [*_node(item)]
        if isinstance(item, Mapping | list | tuple) and item:
            yield f"{_string(key)}:"
            yield from map(_indented, lines)
        else:
            yield f"{_string(key)}: {lines[0]}"
            yield from map(_indented, lines[1:])


def _sequence(value: Sequence[Any]) -> Iterator[str]:
    for item in value:
        first, *rest = _node(item)
        yield f"- {first}"
        yield from map(_indented, rest)


def _indented(line: str) -> str:
    return f"  {line}" if line else ""


def _node(value: Any) -> Iterator[str]:
    match value:
        case Mapping() if value:
            yield from _mapping(value)
        case list() | tuple() if value:
            yield from _sequence(value)
        case str() if _is_block(value):
            yield "|"
            yield from value.removesuffix("\n").split("\n")
        case str():
            yield _string(value)
        case _:
            yield json.dumps(value)


def _is_block(value: str) -> bool:
    """Tell whether a text can stand as it is, line by line."""
    printable = all(each.isprintable() or each == "\n" for each in value)
    # A block ends with one line break, and its first line says how far all are indented.
    whole = value.endswith("\n") and "\n" in value[:-1] and not value.endswith("\n\n")
    return printable and whole and value[0] not in " \n"


def _string(value: str) -> str:
    if PLAIN.fullmatch(value) and value.lower() not in NOT_STRINGS:
        return value
    return f'"{"".join(map(_escaped, value))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    if character.isprintable():
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )
