"""Shorter ways to what pyinfra finds out anew for each operation of each host.

With these, a run that finds nothing to do takes half of this machine's time for one more host.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from copy import copy
from functools import cache
from types import FrameType, SimpleNamespace
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a frame is, as far as pyinfra asks."""

    filename: str
    lineno: int


@cache
def take() -> None:
    """Let pyinfra take them, as far as it is there and has what they replace."""
    # Little of what a run makes is garbage before its end: to look for it all the time takes a
    # tenth of this machine's time.
    gc.freeze()
    gc.set_threshold(100_000)
    arguments: Any = sys.modules.get("pyinfra.api.arguments")
    if hasattr(arguments, "all_global_arguments"):
        # Types of a class, the same at each call.
        arguments.all_global_arguments = cache(arguments.all_global_arguments)
    # For each operation of each host, pyinfra asks for some thirty names that mostly have no value.
    inventory: Any = getattr(sys.modules.get("pyinfra.api.inventory"), "Inventory", None)
    if hasattr(inventory, "get_groups_data"):
        inventory.get_groups_data = _known_by_groups(inventory.get_groups_data)
    data: Any = getattr(sys.modules.get("pyinfra.api.host"), "HostData", None)
    if hasattr(data, "__getattr__"):
        data.__getattr__ = value_of
    if hasattr(arguments, "pop_global_arguments"):
        _replace(arguments.pop_global_arguments, _with_data_once(arguments))
    util: Any = sys.modules.get("pyinfra.api.util")
    if hasattr(util, "stack") and hasattr(util, "getframeinfo"):
        util.stack, util.getframeinfo = stack, place


class _MissingError(AttributeError):
    """A host has no value by a name; what to say of it is only put together if anybody reads it."""

    def __str__(self) -> str:
        return "Host `{}` has no data `{}`".format(*self.args)


def value_of(data: Any, key: str) -> Any:
    """Return what a host's data have by a name, as HostData does: the first that has it counts.

    Raises AttributeError.
    """
    for source in data.__dict__["datas"]:
        found = source() if callable(source) else source
        if key in found:
            return copy(found[key])
    raise _MissingError(data.__dict__["host"], key)


def _known_by_groups(ask: Callable[[Any, list[str]], Any]) -> Callable[[Any, list[str]], Any]:
    """Return the data of groups put together once: nothing changes them after an inventory."""
    known: dict[tuple[object, ...], Any] = {}

    def asked(inventory: Any, groups: list[str]) -> Any:
        key = (id(inventory), *groups)
        if key not in known:
            known[key] = ask(inventory, groups)
        return known[key]

    return asked


def _with_data_once(arguments: Any) -> Callable[[Any, Any, dict[str, Any]], Any]:
    """Return pop_global_arguments that reads a host's data once, not for each of the names."""
    pop = arguments.pop_global_arguments

    def popped(state: Any, host: Any, kwargs: dict[str, Any]) -> Any:
        names = dict(arguments.all_global_arguments())
        given = {name: copy(it) for name, it in host.data.dict().items() if name in names}
        data, around = SimpleNamespace(**given), host.current_deploy_kwargs
        return pop(state, SimpleNamespace(data=data, current_deploy_kwargs=around), kwargs)

    return popped


def _replace(old: Any, new: Any) -> None:
    """Put a function of pyinfra's in another's place, wherever it has been imported by its name."""
    name = old.__name__
    for module in [it for path, it in sys.modules.items() if path.startswith("pyinfra.")]:
        if getattr(module, name, None) is old:
            setattr(module, name, new)


def stack() -> list[tuple[FrameType]]:
    """Return the frames of the caller and of what called it, as inspect.stack does.

    inspect reads the sources, to show lines of them. For a file that is no module, such as
    deploy.py, it looks through all modules each time.
    """
    found = []
    frame: FrameType | None = sys._getframe(1)
    while frame:
        found.append((frame,))
        frame = frame.f_back
    return found


def place(frame: FrameType) -> Place:
    """Return where a frame is, as inspect.getframeinfo does."""
    return Place(frame.f_code.co_filename, frame.f_lineno)
