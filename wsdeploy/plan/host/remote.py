"""How programs get onto a host: the one place where remote commands are put together. Pure.

A program and its request travel on standard input, so that neither shows up in a process list or
a log, and one exchange over SSH is enough for a piece of work of any size.

All programs together are sent once. A host keeps them in memory (/run), for root alone, under a
digest of what they are; from then on a request names the digest, and Python need not compile them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from functools import cache

from wsdeploy import resources
from wshost.requests import Claim

PROGRAMS = resources.PACKAGES / "wshost"

FOLDER = "/run/wsdeploy/programs"
"""Where a host keeps them, each version in a folder of its own."""

MISSING = {"programs": "missing"}
"""What a host answers that has not got them, if it can be asked again."""

IMPORT = re.compile(r"^ *from wshost((?:\.\w+)*) import (\([^)]*\)|[\w, ]+)", re.MULTILINE)

# Imports the program from where the host keeps it, and calls its main with the request, if the lock
# is still that of the run. The rest of standard input is the program's own. What programs make for
# others to read must not depend on root's own umask; what is secret gets its mode before its
# content. Versions that nobody has used for a day go.
# Nothing that is imported is garbage, and at the end the kernel frees the memory: for Python to
# look, and to do that, takes 8 ms on Debian 12, a tenth of a survey.
LOADER = f"""\
import gc
gc.disable()
import importlib, json, os, sys
os.umask(0o022)
head = json.loads(sys.stdin.readline())
home = "{FOLDER}"
folder = home + "/" + head["digest"]
there = lambda: os.path.isfile(folder + "/wshost/__init__.py")
if there():
    os.utime(folder)
else:
    if head["again"]:
        print(json.dumps({json.dumps(MISSING)}))
        sys.exit()
    if not head["bundle"]:
        sys.exit("this host has lost the programs of this run, as by a reboot; run it again")
    import base64, shutil, tempfile, time, zlib
    new = None
    try:
        os.makedirs(home, 0o700, exist_ok=True)
        new = tempfile.mkdtemp(dir=home)
        for name in os.listdir(home):
            path = home + "/" + name
            old = os.stat(path).st_mtime < time.time() - 86400
            # What is half there, as a removal was cut short, is as good as old.
            if old or path == folder and not there():
                os.rename(path, new + "/" + name)
        os.mkdir(new + "/all")
        for name, text in json.loads(zlib.decompress(base64.b64decode(head["bundle"]))).items():
            path = new + "/all/" + name
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        if not there():
            os.chmod(new + "/all", 0o700)
            os.rename(new + "/all", folder)
    except OSError as error:
        # Another run may be at the same work.
        if not there():
            sys.exit("%s: %s" % (error.strerror, error.filename or home))
    finally:
        if new:
            shutil.rmtree(new, ignore_errors=True)
sys.path.insert(0, folder)
if head["run"]:
    importlib.import_module("wshost.common.lock").check(head["run"])
if head["progress"]:
    importlib.import_module("wshost.common.progress").begin(head["progress"])
program = importlib.import_module("wshost." + head["program"])
gc.freeze()
gc.enable()
program.main(head["request"])
sys.stdout.flush()
sys.stderr.flush()
os._exit(0)
"""


class Payload(list[str]):
    """Standard input for a remote program. Its repr says whose, not what: it may hold secrets."""

    def __init__(self, program: str, lines: list[str]) -> None:
        super().__init__(lines)
        self.program = program

    def __repr__(self) -> str:
        return f"<request for {self.program}>"


@cache
def _sources() -> dict[str, str]:
    """Return the files of wshost by their paths: wshost/common/lock.py."""
    return {
        path.relative_to(PROGRAMS.parent).as_posix(): path.read_text()
        for path in sorted(PROGRAMS.rglob("*.py"))
    }


def source(path: str) -> str:
    """Return the text of a file of wshost."""
    return _sources()[path]


def script(path: str, name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a file of wshost, which goes along in it.

    path: below wshost; a shell script, or a program that needs nothing but itself. name: how it is
    called where people see it.
    """
    program = "sh" if path.endswith(".sh") else "python3"
    return (program, "-c", (PROGRAMS / path).read_text(), name, *arguments)


@cache
def digest() -> str:
    """Return what tells versions of the programs apart."""
    return hashlib.sha256(json.dumps(_sources()).encode()).hexdigest()[:16]


@cache
def _bundle() -> str:
    return base64.b64encode(zlib.compress(json.dumps(_sources()).encode(), 9)).decode()


@cache
def closure(program: str) -> tuple[str, ...]:
    """Return the files of wshost that a program is made of: what has to be there.

    program: by its name below wshost, such as watchdog.service.
    """
    found: set[str] = set()
    new = {_path(f".{program}")}
    while new:
        found |= new
        new = {each for path in new for each in _imports(source(path))} - found
    folders = {path.rpartition("/")[0] for path in found} | {"wshost"}
    return tuple(sorted(found | {f"{folder}/__init__.py" for folder in folders}))


def _path(module: str) -> str:
    return f"wshost{module.replace('.', '/')}.py"


def _imports(text: str) -> set[str]:
    """Return the files of wshost that a module imports, wherever in it."""
    found: set[str] = set()
    for module, names in IMPORT.findall(text):
        # A module, or what is in a package.
        own = _path(module)
        modules = {_path(f"{module}.{name}") for name in re.findall(r"\w+", names)}
        found |= {own} if own in _sources() else modules
    return found


def payload(
    program: str,
    request: Mapping[str, object],
    attachment: bytes | None = None,
    run: Claim | None = None,
    *,
    bundle: bool = True,
    again: bool = False,
    progress: str | None = None,
) -> Payload:
    """Return what to feed the loader so that `wshost.PROGRAM` answers `request`.

    run: the run that must have the lock, for a program that needs it (wshost.common.lock.check).
    bundle: whether to send all programs, as the host may not have them.
    again: whether a host that has not got them may say so (MISSING), to be asked again.
    progress: what lines of progress begin with (wshost.common.progress); None for no such lines.
    """
    head = {
        "digest": digest(),
        "bundle": _bundle() if bundle else None,
        "again": again,
        "program": program,
        "request": request,
        "run": run,
        "progress": progress,
    }
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


# For the first contact. sudo's own words would make pyinfra ask for a password and not use it.
MAY_BE_ROOT = (
    'if test "$(id -u)" != 0 && ! sudo -n true </dev/null 2>/dev/null; then '
    'echo "$(id -un) can not become root: give that user sudo without a password, '
    'or the group _sudo=True, with _sudo_password" >&2; exit 1; fi; '
)


def command(program: str) -> str:
    """Return the shell command that runs a program of wshost; its name is there to be seen.

    program: by its name below wshost, such as rollout.retire.
    """
    # -I: no module that lies about in a home folder, and no variable, is in the way. -S: what
    # packages bring is not looked for, as nothing of it is used.
    return f"{AS_ROOT} python3 -I -S -c '{LOADER}' wsdeploy-{program.rpartition('.')[2]}"


def command_on_bare_host(program: str) -> str:
    """Return the same for a host that may not have Python yet: then it reports the system only."""
    report = (
        '. /etc/os-release; printf \'{"bare": true, "system": {"id": "%s", "version": "%s"}, '
        '"limits": {"processors": %d}}\' "$ID" "$VERSION_ID" "$(nproc)"'
    )
    found = "command -v python3 >/dev/null"
    return f"{MAY_BE_ROOT}if {found}; then {command(program)}; else {report}; fi"
