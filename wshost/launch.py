"""Start the app: give it its environment and its file limit, then become it.

    python3 -I launch.py ENVIRONMENT OPEN_FILES COMMAND [ARGUMENT ...]

The environment comes from a file because Supervisor's own configuration can be read by others, and
its `environment=` would show up wherever that is printed. The limit is set here because a child
would otherwise inherit Supervisor's own, and changing that means restarting every process.
"""

from __future__ import annotations

import json
import os
import resource
import sys


def main(arguments: list[str]) -> None:
    """Replace this process by the app's."""
    environment, open_files, *command = arguments
    raise_limit(int(open_files))
    with open(environment) as file:
        os.environ.update(parse(file.read()))
    os.execvp(command[0], command)  # noqa: S606 (no shell on purpose)


def parse(text: str) -> dict[str, str]:
    r"""Read an environment: a NAME="value" per line, the value as a JSON string.

    >>> parse('NAME="a value"\n')
    {'NAME': 'a value'}
    """
    pairs = (line.split("=", 1) for line in text.splitlines() if line and line[0] != "#")
    return {name: json.loads(value) for name, value in pairs}


def raise_limit(open_files: int) -> None:
    """Allow this process `open_files` open files, or as many as its hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        open_files = min(open_files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, hard))


if __name__ == "__main__":
    main(sys.argv[1:])
