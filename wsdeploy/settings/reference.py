"""The tables of all settings, made from their fields and docstrings, so that they are never wrong.

docs/tables.py writes them into the documentation.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal

from wsdeploy.settings.cluster import Kubernetes
from wsdeploy.settings.section import MISSING, Section, declared_range, describe
from wsdeploy.settings.service import Settings

BEGIN, END = "<!-- made from the source: make reference -->", "<!-- /made from the source -->"

HEAD = "| Setting | Type or values | Default | What it does |\n| --- | --- | --- | --- |"


def markdown() -> str:
    """Return a heading, an explanation and a table for each section of the settings."""
    return "\n".join(map(table, every()))


def every() -> list[type[Section]]:
    """Return all sections: those of the settings, then those of a cluster."""
    return [*sections(Settings), *sections(Kubernetes)]


def written(text: str, tables: str) -> str:
    """Return a document with what is between its markers replaced by `tables`.

    Raises ValueError for a document without markers.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"it needs {BEGIN} and {END}")
    return f"{before}{begin}\n\n{tables}\n{end}{after}"


def sections(start: type[Section]) -> list[type[Section]]:
    """Return a section and those that its fields can hold, each once, in the order of fields."""
    found = [start]
    for hint in _hints(start).values():
        for section in _held(hint):
            found += [further for further in sections(section) if further not in found]
    return found


def docstrings(section: type) -> dict[str, str]:
    """Return the string literals that follow a class's fields in its source, on one line each."""
    found: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if base is not object:
            found.update(_docstrings(base))
    return found


@cache
def _docstrings(section: type) -> Mapping[str, str]:
    found = {}
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in itertools.pairwise(definition.body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(doc))),
            ):
                found[name] = " ".join(doc.split())
    return found


def _held(hint: Any) -> Iterator[type[Section]]:
    """Yield the sections that a type names, at any depth."""
    if isinstance(hint, type) and issubclass(hint, Section):
        yield hint
    for part in typing.get_args(hint):
        yield from _held(part)


def table(section: type[Section]) -> str:
    """Return a heading, an explanation and a table for one section."""
    about = inspect.getdoc(section) or ""
    rows = "\n".join(f"| {' | '.join(row)} |" for row in _rows(section))
    return f"## `{section.__name__}`\n\n{about}\n\n{HEAD}\n{rows}\n"


def _rows(section: type[Section]) -> Iterator[tuple[str, str, str, str]]:
    hints, documented = _hints(section), docstrings(section)
    fields = dataclasses.fields(section)  # type: ignore[arg-type]
    # Those that only have a name come last, as in a call.
    for field in sorted(fields, key=lambda field: bool(field.kw_only)):
        yield (
            f"`{field.name}`",
            _type(hints[field.name]),
            _default(field),
            documented.get(field.name, "").replace("|", "\\|"),
        )


def _hints(section: type[Section]) -> dict[str, Any]:
    fields = {field.name for field in dataclasses.fields(section)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(section, include_extras=True)
    return {name: hint for name, hint in hints.items() if name in fields}


def _type(hint: Any) -> str:
    """Name a type as error lines do, with code as code."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return str(declared_range(hint) or _type(args[0]))
    if origin is Literal:
        return ", ".join(f"`{_literal(value)}`" for value in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(arg) for arg in args)
    if isinstance(origin, type) and issubclass(origin, Mapping) and any(_held(args[1])):
        return f"a dict, each {_type(args[1])}"
    if any(_held(hint)) or hint is type(None):
        return f"`{describe(hint)}`"
    return describe(hint)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not MISSING:
        value = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        return "required"
    return f"`{_literal(value)}`"


def _literal(value: Any) -> str:
    """Spell a value as one would write it in an inventory file."""
    if isinstance(value, Section):
        return f"{type(value).__name__}()"
    if isinstance(value, str):
        return f'"{value}"'
    if type(value) is int and value >= 10_000:
        return f"{value:_}"
    return repr(value)
