"""Start the app: tell it where to listen, give it its environment and its files, then become it.

    python3 -I launch.py DESCRIPTION COMMAND [ARGUMENT ...]

DESCRIPTION is the file that says what the generation is (rollout/description.py). Its environment
is in a file of its own, because Supervisor's configuration can be read by others, and what is in
its `environment=` shows up wherever that is printed. Open files are set here because a child would
otherwise inherit Supervisor's own limit, and changing that means restarting every process.

It travels with each release, and needs nothing but itself.

What a predecessor that crashed has left running is killed first: it may hold the port.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import stat
import sys
import time

STARTS = ".starts-"
"""In the working directory, with the process's name: how often it was started, and when last."""
MOST = 10**10
"""Of starts, and of seconds since 1970: a date that people can read."""
MOVE = ".move"
"""In the working directory, once the process is to close some of its connections (wsapp)."""


def main(arguments: list[str]) -> None:
    """Replace this process by the app's."""
    description, *command = arguments
    with open(description) as file:
        generation = json.load(file)
    raise_limit(generation["open_files"])
    with open(generation["environment"]) as file:
        os.environ.update(parse(file.read()))
    name = os.environ["SUPERVISOR_PROCESS_NAME"]
    os.environ.update(listener(generation["listen"], name))
    os.environ["WS_MOVE_FILE"] = os.path.abspath(MOVE)
    if group := os.environ.get("SUPERVISOR_GROUP_NAME"):
        sweep(group, name)
    count(name)
    if command[0] == "python":
        command[0] = "/usr/bin/python3"
    command = [os.path.expandvars(word) for word in command]
    try:
        os.execvp(command[0], command)  # noqa: S606 (no shell on purpose)
    except OSError as error:
        # Programs that packages bring are not on the path of a release.
        sys.exit(
            f"{command[0]} can't be started: {error.strerror}; if a package brings it, say "
            f'App(command=["python", "-m", "{os.path.basename(command[0])}", ...])'
        )


def parse(text: str) -> dict[str, str]:
    r"""Read an environment: a NAME="value" per line, the value as a JSON string.

    >>> parse('NAME="a value"\n')
    {'NAME': 'a value'}
    """
    pairs = (line.split("=", 1) for line in text.splitlines() if line and line[0] != "#")
    return {name: json.loads(value) for name, value in pairs}


def listener(listen: str, process: str) -> dict[str, str]:
    """Return the variables that tell a process where to listen.

    >>> listener("tcp:10.0.0.1:8000", "ws_03")
    {'WS_HOST': '10.0.0.1', 'WS_PORT': '8003'}
    """
    kind, _, where = listen.partition(":")
    if kind == "unix":
        return {"WS_SOCKET": f"{where}/{process}.sock"}
    address, _, port = where.rpartition(":")
    number = int(process[-2:]) if kind == "tcp" else 0
    return {"WS_HOST": address, "WS_PORT": str(int(port) + number)}


def sweep(group: str, name: str) -> None:
    """Kill what earlier processes of this group and name have started and left."""
    wanted = {f"SUPERVISOR_GROUP_NAME={group}".encode(), f"SUPERVISOR_PROCESS_NAME={name}".encode()}
    for pid in [entry for entry in os.listdir("/proc") if entry.isdigit()]:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if int(pid) != os.getpid() and wanted <= set(file.read().split(b"\0")):
                os.kill(int(pid), signal.SIGKILL)


def starts(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return how often a process was started, and when last, by its note; zeros if there is none.

    The app's user writes it, and root reads it.
    """
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                number, last = (int(word) for word in file.read(64).split())
                return min(max(number, 0), MOST), min(max(last, 0), MOST)
    return 0, 0


def count(name: str) -> None:
    """Note one more start of a process; a note that can't be made is no reason not to start."""
    path = STARTS + name
    before, _ = starts(path)
    with contextlib.suppress(OSError):
        with open(f"{path}.new", "w") as file:
            file.write(f"{before + 1} {time.time():.0f}\n")
        os.replace(f"{path}.new", path)


def raise_limit(open_files: int) -> None:
    """Allow this process `open_files` open files, or as many as its hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        open_files = min(open_files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, hard))


if __name__ == "__main__":
    main(sys.argv[1:])
