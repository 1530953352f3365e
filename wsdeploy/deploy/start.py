"""What pyinfra's command line does not do by itself, done before it looks at a run.

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
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from wsdeploy import command_line
from wsdeploy.deploy import shortcuts

OWN = Path(__file__).parents[1]
"""The folder of our own code."""
INTERRUPTED = 128 + signal.SIGINT
"""The exit code of a program that Ctrl-C has ended, as shells have it."""


WAYS_OUT = {
    "StrictPolicy: No host key for ": "compare its fingerprint and log in once with ssh, or add "
    "its line to known_hosts; for CI see docs/operate/hosts.md, The first contact",
    "Could not connect ": "to go on without it: --exclude and its name",
    "Could not resolve hostname ": "check its name in the inventory; to go on without it: "
    "--exclude",
}
"""What to do about a line of pyinfra's that has these words in it."""

QUESTIONS = {
    ("pyinfra_cli.cli", "_do_confirm"): "give -y to make the changes, or --dry to see them only",
    ("pyinfra_cli.cli", "getpass"): "give a password another way, or a key",
    ("pyinfra.connectors.ssh_util", "getpass"): "use a key without a password, or ssh-agent",
    ("pyinfra.connectors.util", "getpass"): "let the user have sudo without a password, or give "
    "_sudo_password as data of the host",
}
"""Where pyinfra asks, by module and function, and what to do where nobody answers."""


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


def begin() -> None:
    """Let a run begin, or end it with a line; called by config.py, which pyinfra reads first."""
    if Path(sys.argv[0]).stem not in ("pyinfra", "__main__"):
        return
    # First of all: pyinfra's own handler would call it a success.
    if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, _interrupted)
    complaint = command_line.problem(sys.argv[1:])
    if complaint:
        print(complaint, file=sys.stderr)
        raise SystemExit(1)
    shortcuts.take()
    logging.getLogger("pyinfra").addFilter(_with_way_out)
    hub, errors = (sys.modules.get(name) for name in ("gevent.hub", "pyinfra.api.exceptions"))
    if hub is not None and errors is not None:
        # pyinfra says them in a line at the end; what gevent would show before is its insides.
        hub.Hub.NOT_ERROR = (*hub.Hub.NOT_ERROR, errors.PyinfraError)
    cli: Any = sys.modules.get("pyinfra_cli.cli")
    if hasattr(cli, "make_inventory"):
        cli.make_inventory = _some_hosts(cli.make_inventory)
    if cli is not None:
        # It brings the rest of pyinfra, which takes a moment.
        from wsdeploy.deploy import ending  # noqa: PLC0415

        action, words = command_line.command(sys.argv[1:]) or (None, "")
        ending.begin(action, command_line.typed_inventory(sys.argv[1:]), words)
        if command_line.looks(sys.argv[1:]):
            from wsdeploy.deploy import looking  # noqa: PLC0415

            looking.begin(cli)
    shown: Any = sys.modules.get("pyinfra_cli.exceptions")
    if hasattr(shown, "get_frame_line_from_tb"):
        shown.get_frame_line_from_tb = _but_for_ours(shown.get_frame_line_from_tb)
    for (module, name), way in QUESTIONS.items():
        if hasattr(sys.modules.get(module), name):
            ask = getattr(sys.modules[module], name)
            setattr(sys.modules[module], name, answered(ask, way))


def _but_for_ours(find: Callable[..., Any]) -> Callable[..., Any]:
    """Return pyinfra's function that finds where an error is from, which leaves our files out.

    What our errors say is enough, and a line of our code would look like a crash.
    """

    def found(*arguments: Any) -> Any:
        place = find(*arguments)
        own = place is not None and Path(place.filename).is_relative_to(OWN)
        return None if own else place

    return found


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
        every = [*found.hosts.values()]
        if not command_line.deploys(sys.argv[1:]):
            groups = ("settings", "cluster")
            ours = {n: it for n, it in found.hosts.items() if any(map(it.data.get, groups))}
            found.hosts = ours or found.hosts
        kinds = ("settings", "cluster", "platform")
        if sum(any(host.data.get(kind) for host in every) for kind in kinds) > 1:
            raise SystemExit(command_line.several(arguments[0]))
        if not len(found):
            raise SystemExit(
                f"{arguments[0]} has no hosts; name its groups so that pyinfra finds them: "
                "app, proxy = hosts(settings, app=[...]), or cluster = pods(settings, ...)"
            )
        return found

    return made


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    """End the run, and say what goes on; a second Ctrl-C ends it at once."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    if _has_begun():
        print("\ninterrupted; what was begun elsewhere goes on to its end", file=sys.stderr)
        sys.modules["wsdeploy.deploy.ending"].interrupt()
    else:
        print("\ninterrupted; nothing was changed", file=sys.stderr)
    raise SystemExit(INTERRUPTED)
