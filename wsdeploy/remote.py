"""How programs get onto a host: the one place where remote commands are put together. Pure.

A program and its request travel on standard input, so that neither shows up in a process list or
a log, and one exchange over SSH is enough for a piece of work of any size.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).resolve().parent.parent / "wshost"

GENERATIONS = ("supervisor", "apply_files", "peers", "belongings", "launch", "anew", "generations")
HISTORY = (*GENERATIONS, "lock")
SURVEY = ("supervisor", "apply_files", "lock", "launch", "listeners", "neighbours", "ruleset")
ROLLOUT = (*HISTORY, "history", "probe", "gate", "trial")

# Modules of wshost that a program imports, in an order in which each can be loaded.
IMPORTS = {
    "survey": SURVEY,
    "rollout": ROLLOUT,
    "restore": (*ROLLOUT, "rollout"),
    "history": HISTORY,
    "capacity": (*SURVEY, "survey", *GENERATIONS),
    "certificate": ("apply_files", "pair"),
    "identity": ("apply_files",),
    "retire": (*ROLLOUT, "rollout"),
    "remove": HISTORY,
    "lock": ("apply_files",),
}

# What a program needs besides, that goes on only while its run has the lock.
LOCKED = ("apply_files", "lock")

# Loads the modules on the first line of standard input and calls the program's main with the
# request, if the lock is still that of the run. The rest of standard input is the program's own.
# What programs make for others to read must not depend on root's own umask; what is secret gets its
# mode before its content.
LOADER = """\
import json, os, sys, types
os.umask(0o022)
head = json.loads(sys.stdin.readline())
package = sys.modules["wshost"] = types.ModuleType("wshost")
package.__path__ = []
for name, source in head["modules"]:
    module = sys.modules["wshost." + name] = types.ModuleType("wshost." + name)
    setattr(package, name, module)
    exec(compile(source, "wshost/" + name + ".py", "exec"), module.__dict__)
if head["run"]:
    package.lock.check(head["run"])
getattr(package, head["program"]).main(head["request"])
"""


class Payload(list[str]):
    """Standard input for a remote program. Its repr says whose, not what: it may hold secrets."""

    def __init__(self, program: str, lines: list[str]) -> None:
        super().__init__(lines)
        self.program = program

    def __repr__(self) -> str:
        return f"<request for {self.program}>"


@cache
def _source(module: str) -> str:
    return (PROGRAMS / f"{module}.py").read_text()


def payload(
    program: str,
    request: dict[str, Any],
    attachment: bytes | None = None,
    run: dict[str, Any] | None = None,
) -> Payload:
    """Return what to feed the loader so that `wshost.PROGRAM` answers `request`.

    run: the run that must have the lock (see wshost.lock.check), for a program that needs it.
    """
    names = (*IMPORTS.get(program, ()), *(LOCKED if run else ()), program)
    modules = [(name, _source(name)) for name in dict.fromkeys(names)]
    head = {"modules": modules, "program": program, "request": request, "run": run}
    lines = [json.dumps(head)]
    if attachment is not None:
        lines.append(base64.b64encode(attachment).decode())
    return Payload(program, lines)


def answer(output: list[str]) -> str:
    """Return what a program has answered, of what a host has printed: its last line.

    What a shell prints when it starts comes before.
    """
    return next((line for line in reversed(output) if line.startswith("{")), "\n".join(output))


# All programs need root. Whoever logs in as another user has sudo, whether pyinfra was told or not.
AS_ROOT = '$(test "$(id -u)" = 0 || echo sudo -n)'


def command(program: str) -> str:
    """Return the shell command that runs a program of wshost; its name is there to be seen."""
    return f"{AS_ROOT} python3 -c '{LOADER}' wsdeploy-{program}"


def command_on_bare_host(program: str) -> str:
    """Return the same for a host that may not have Python yet: then it reports the system only."""
    report = (
        '. /etc/os-release; printf \'{"bare": true, "system": {"id": "%s", "version": "%s"}, '
        '"limits": {"processors": %d}}\' "$ID" "$VERSION_ID" "$(nproc)"'
    )
    return f"if command -v python3 >/dev/null; then {command(program)}; else {report}; fi"
