"""What pyinfra's command line says of a run, before pyinfra has looked at it.

pyinfra takes the path of an inventory that does not exist for a host's name, asks where nobody is
to answer, calls a run that was interrupted a success, and does not say how to go on without a host
that is off, or with one whose key nobody knows yet.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import termios
import types
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from wsdeploy.plan.summary import Action

INTERRUPTED = 128 + signal.SIGINT
"""The exit code of a program that Ctrl-C has ended, as shells have it."""


WAYS_OUT = {
    "StrictPolicy: No host key for ": "compare its fingerprint and log in once with ssh, or add "
    "its line to known_hosts; for CI see docs/operate/hosts.md, The first contact",
    "Could not connect ": "to go on without it: --exclude and its name",
    "Could not resolve hostname ": "see its name in the inventory; to go on without it: --exclude",
}
"""What to do about a line of pyinfra's that has these words in it."""

AGAIN: Mapping[str, Action] = {
    "wsdeploy.rollback": "rollback",
    "wsdeploy.restart": "restart",
}
"""Commands that change what serves without the app's code."""

QUESTIONS = {
    ("pyinfra_cli.cli", "_do_confirm"): "give -y to make the changes, or --dry to see them only",
    ("pyinfra_cli.cli", "getpass"): "give a password another way, or a key",
    ("pyinfra.connectors.ssh_util", "getpass"): "use a key without a password, or ssh-agent",
    ("pyinfra.connectors.util", "getpass"): "let the user have sudo without a password, or give "
    "_sudo_password as data of the host",
}
"""Where pyinfra asks, by module and function, and what to do where nobody answers."""


def inventory(arguments: Sequence[str]) -> str | None:
    """Return the inventory file that a run is for, if it names one."""
    # What comes after it may be a path on a host.
    values = {index + 1 for index, word in enumerate(arguments) if word == "--config"}
    found = (w for index, w in enumerate(arguments) if w.endswith(".py") and index not in values)
    return next(found, None)


def problem(arguments: Sequence[str]) -> str | None:
    """Return why a run with these arguments of pyinfra can't begin, or None."""
    path = inventory(arguments)
    if path and not Path(path).is_file():
        return f"{path}: no such file in {Path.cwd()}; no host was contacted"
    return None


def hint(line: str) -> str:
    """Return a line of pyinfra's, with the way out if it needs one."""
    for words, way in WAYS_OUT.items():
        if words in line:
            return f"{line}; {way}"
    return line


def answered(ask: Callable[..., Any], way: str) -> Callable[..., Any]:
    """Return a function that asks as `ask` does, and ends the run with a line if nobody answers.

    Whether to go on without hosts that have failed is answered: no, and pyinfra says why.
    """

    def asked(*arguments: Any) -> Any:
        try:
            return ask(*arguments)
        # What Python makes of an input that is closed, empty, or no terminal after all.
        except (EOFError, OSError, RuntimeError, termios.error):
            if any("failed" in str(each) for each in arguments):
                return False
            raise SystemExit(f"\nnobody answers, as there is no terminal; {way}") from None

    return asked


def stand_in(path: Path) -> types.ModuleType:
    """Return a module in the place of a file that pyinfra runs and Python does not know.

    pyinfra asks which source each operation comes from. For a file that is no module, Python looks
    through all modules each time: half of the work of a run in which nothing changes.
    """
    module = types.ModuleType(str(path))
    module.__file__ = str(path.resolve())
    return module


def deploys(arguments: Sequence[str]) -> bool:
    """Tell whether a run needs the app's code and secrets: all do but those of our own commands."""
    operations = [word for word in arguments if word.startswith("wsdeploy.")]
    return not operations or any(word.endswith("deploy.py") for word in arguments)


def command(arguments: Sequence[str]) -> tuple[Action, str] | None:
    """Return what a run does to what serves, and the words that tell it to; None if nothing."""
    path = inventory(arguments)
    if path is None:
        return None
    words = arguments[arguments.index(path) + 1 :]
    for word in words:
        if word in AGAIN:
            return AGAIN[word], word
    files = [word for word in words if word.endswith(".py")]
    return ("deploy", " ".join(files)) if files else None


def begin() -> None:
    """Let a run begin, or end it with a line; called by config.py, which pyinfra reads first."""
    if Path(sys.argv[0]).stem not in ("pyinfra", "__main__"):
        return
    complaint = problem(sys.argv[1:])
    if complaint:
        print(complaint, file=sys.stderr)
        raise SystemExit(1)
    for word in sys.argv[1:]:
        if word.endswith(".py") and Path(word).is_file():
            file = stand_in(Path(word))
            sys.modules[file.__name__] = file
    logging.getLogger("pyinfra").addFilter(_with_way_out)
    hub, errors = (sys.modules.get(name) for name in ("gevent.hub", "pyinfra.api.exceptions"))
    if hub is not None and errors is not None:
        # pyinfra says them in a line at the end; what gevent would show before is its insides.
        hub.Hub.NOT_ERROR = (*hub.Hub.NOT_ERROR, errors.PyinfraError)
    cli: Any = sys.modules.get("pyinfra_cli.cli")
    if hasattr(cli, "make_inventory"):
        cli.make_inventory = _some_hosts(cli.make_inventory)
    if cli is not None:
        action, words = command(sys.argv[1:]) or (None, "")
        # It needs pyinfra, which is there by now.
        import_module("wsdeploy.deploy.ending").begin(action, inventory(sys.argv[1:]) or "", words)
    for (module, name), way in QUESTIONS.items():
        if hasattr(sys.modules.get(module), name):
            ask = getattr(sys.modules[module], name)
            setattr(sys.modules[module], name, answered(ask, way))
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, _interrupted)


def _with_way_out(record: logging.LogRecord) -> bool:
    line = hint(record.getMessage())
    if line != record.getMessage():
        record.msg, record.args = line, ()
    return True


def _has_begun() -> bool:
    """Tell whether the run has got as far as changing hosts."""
    context = sys.modules.get("pyinfra.context")
    return context is not None and context.ctx_state.isset() and context.state.is_executing


def _some_hosts(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return pyinfra's function that reads an inventory, which ends a run that has no hosts.

    Our own commands have nothing to do with hosts that only the project's deploy.py knows.
    """

    def made(*arguments: Any, **options: Any) -> Any:
        found = make(*arguments, **options)
        if not deploys(sys.argv[1:]):
            ours = {name: it for name, it in found.hosts.items() if it.data.get("settings")}
            found.hosts = ours or found.hosts
        if not len(found):
            raise SystemExit(
                f"{arguments[0]} has no hosts; name its groups so that pyinfra finds them: "
                "app, proxy = hosts(settings, app=[...])"
            )
        return found

    return made


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """End the run, and say what goes on; a second Ctrl-C ends it at once."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    if _has_begun():
        print("\ninterrupted; what a host was doing it does to its end", file=sys.stderr)
        sys.modules["wsdeploy.deploy.ending"].interrupt()
    else:
        print("\ninterrupted; nothing was changed", file=sys.stderr)
    raise SystemExit(INTERRUPTED)
