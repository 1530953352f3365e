"""The base of all settings: frozen, typed, and every mistake kept for one report.

A section never raises when it is made. It remembers what is wrong with it, so that the whole
inventory file can be read first and all its problems be shown together (`hosts`).
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self, dataclass_transform

MISSING = dataclasses.MISSING

LISTS = (tuple, Sequence)
"""Types of settings that take several values. Users give lists, which are kept as tuples."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One mistake in an inventory file."""

    setting: str
    """Where it is, as a user would write it: `app.processes`."""
    message: str
    """What was given and what would do."""

    def __str__(self) -> str:
        """Give the one line that a user reads; what is no text to read is spelt."""
        line = f"{self.setting}: {self.message}"
        return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)

    def inside(self, section: str) -> Problem:
        """Return this problem as seen from the section around it."""
        return Problem(f"{section}.{self.setting}", self.message)


def refused(setting: str, given: object, wanted: str) -> Problem:
    """Say that `given` will not do for `setting`, and what would."""
    return Problem(setting, f"{given!r} given; {wanted}")


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that a setting may be: declared with its type, as Annotated[int, Range(1, 9)]."""

    least: float
    most: float
    unit: str = "a whole number"

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"{self.unit} from {self.least:,} to {self.most:,}"


def declared_range(hint: Any) -> Range | None:
    """Return the range that a type declares, with or without alternatives such as None."""
    if typing.get_origin(hint) is typing.Annotated:
        return next((each for each in hint.__metadata__ if isinstance(each, Range)), None)
    return next((found for each in typing.get_args(hint) if (found := declared_range(each))), None)


@functools.cache
def _ranges(section: type[Section]) -> dict[str, tuple[Range, str]]:
    """Return the ranges of a section's settings, each with the words for None if that will do."""
    hints = typing.get_type_hints(section, include_extras=True)
    return {
        name: (found, ", or None" if type(None) in typing.get_args(hint) else "")
        for name, hint in hints.items()
        if (found := declared_range(hint))
    }


def similar(name: str, known: list[str]) -> str:
    """Return ' (did you mean x?)' if `name` looks like one of `known`, else ''."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


@functools.cache
def _hints(section: type[Section]) -> dict[str, Any]:
    """Return the types of a section's fields. Evaluating them takes longer than all checks."""
    return typing.get_type_hints(section)


@dataclass_transform(frozen_default=True)
class Section:
    """A group of settings: declare fields like a dataclass, yield mistakes from `problems`."""

    _found: tuple[Problem, ...]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(frozen=True, init=False)(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        known, places = [f.name for f in fields], [f.name for f in fields if not f.kw_only]
        found = []
        if len(args) > len(places):
            found.append(
                Problem(type(self).__name__, f"{len(args)} values given; it takes {len(places)}")
            )
        given = dict(zip(places, args, strict=False))
        for name, value in kwargs.items():
            if name not in known:
                hint = similar(name, known) or f"; known are {', '.join(known)}"
                found.append(Problem(name, f"no such setting{hint}"))
            else:
                given[name] = value
        found += self._fill(given)
        found += self._out_of_range()
        wrong = {problem.setting for problem in found}
        found += [problem for problem in self.problems() if problem.setting not in wrong]
        object.__setattr__(self, "_found", tuple(found))

    def _fill(self, given: dict[str, Any]) -> Iterator[Problem]:
        hints = _hints(type(self))  # type: ignore[arg-type]
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = given.get(field.name, MISSING)
            if value is MISSING:
                value = _default(field, hints[field.name])
                if field.default is MISSING and field.default_factory is MISSING:
                    yield Problem(field.name, f"missing; give {describe(hints[field.name])}")
            elif not accepts(hints[field.name], value):
                yield _refused(field.name, value, hints[field.name])
                value = _default(field, hints[field.name])
            elif isinstance(value, list):
                value = tuple(value)
            object.__setattr__(self, field.name, value)

    def _out_of_range(self) -> Iterator[Problem]:
        for name, (allowed, none) in _ranges(type(self)).items():  # type: ignore[arg-type]
            value = getattr(self, name)
            # The others are what else the type allows: None, "auto".
            if isinstance(value, int | float) and value not in allowed:
                yield refused(name, value, f"give {allowed}{none}")

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with values that have the right types. Sections override this."""
        yield from ()

    def all_problems(self) -> Iterator[Problem]:
        """Yield the problems of this section and of those inside it."""
        yield from self._found
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Section):
                for problem in value.all_problems():
                    yield problem.inside(field.name)
            elif isinstance(value, Mapping):
                for name, item in value.items():
                    for problem in item.all_problems() if isinstance(item, Section) else ():
                        yield problem.inside(f"{field.name}.{name}")

    def __copy__(self) -> Self:
        # pyinfra copies host data at every look; nothing here ever changes.
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the values for `pyinfra INVENTORY debug-inventory`; secrets say only that."""
        values = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
        }
        return {"kind": type(self).__name__} | {name: _json(v) for name, v in values.items()}


def _json(value: Any) -> Any:
    if isinstance(value, Section):
        return value.to_json()
    if isinstance(value, Mapping):
        return {name: _json(item) for name, item in value.items()}
    return value


def _refused(name: str, value: object, hint: Any) -> Problem:
    """Say that a value is not of the type that a field declares."""
    if not isinstance(value, Mapping):
        return refused(name, value, f"give {describe(hint)}")
    # The values of a dict can be secrets.
    for key, item in value.items():
        if isinstance(key, str) and not accepts(hint, {key: item}):
            given = f"a value of type {type(item).__name__} given for {key!r}"
            return Problem(name, f"{given}; give {describe(hint)}")
    return Problem(name, f"that is a {type(value).__name__}; give {describe(hint)}")


def _default(field: dataclasses.Field[Any], hint: Any) -> Any:
    """Return a field's default; where it has none, a stand-in that the rules can look at."""
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    return "" if hint is str else None


def accepts(hint: Any, value: object) -> bool:  # noqa: PLR0911
    """Tell whether `value` is of the type that a field declares. True and False are no numbers."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(accepts(arg, value) for arg in args)
    if origin is Literal:
        return any(value == arg and type(value) is type(arg) for arg in args)
    if origin in LISTS:
        # A string is a sequence, too, and always a mistake here.
        return isinstance(value, tuple | list) and all(accepts(args[0], v) for v in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            accepts(args[0], k) and accepts(args[1], v) for k, v in value.items()
        )
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def describe(hint: Any) -> str:
    """Name a declared type in the words of an error line."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return " or ".join(repr(arg) for arg in args)
    if origin in LISTS:
        return f"a list, each {describe(args[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a dict, each value {describe(args[1])}"
    if isinstance(hint, type) and issubclass(hint, Section):
        return f"{hint.__name__}(...)"
    words = {
        int: "a whole number",
        float: "a number",
        str: "a string",
        bool: "True or False",
        dict: "a dict",
    }
    return words.get(hint, "None" if hint is type(None) else str(hint))
