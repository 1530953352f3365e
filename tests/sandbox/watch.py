"""See whether some texts ever show up in a command line, or in a foreign process's environment.

Reads a line of JSON from standard input: `texts` to look for, and the `user` whose processes may
have them in their environment, or null to leave environments alone. Looks at all processes again
and again until standard input ends. Then it prints, as JSON, what it has `found` where, and the
`commands` that it has seen, so that one can tell that it has looked. Runs on hosts, too.
"""

import json
import os
import pwd
import select
import sys

PAUSE = 0.005
"""Seconds between two looks: what is started over SSH takes longer than that to come and go."""


def read(pid: str, what: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{what}", "rb") as file:
            return file.read()
    except OSError:  # it has gone
        return b""


def main() -> None:
    request = json.loads(sys.stdin.readline())
    texts = [text.encode() for text in request["texts"]]
    commands, found = set(), set()

    def look(data: bytes, where: str) -> None:
        if any(text in data for text in texts):
            found.add(where)

    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            command = read(pid, "cmdline")
            commands.add(command)
            look(command, f"command line: {command.decode(errors='replace')}")
            if request["user"] and not belongs(pid, request["user"]):
                look(read(pid, "environ"), f"environment: {command.decode(errors='replace')}")
    shown = [command.replace(b"\0", b" ").decode(errors="replace") for command in commands]
    json.dump({"found": sorted(found), "commands": sorted(shown)}, sys.stdout)


def belongs(pid: str, user: str) -> bool:
    """Tell whether a process is the user's; one that has gone is nobody's."""
    try:
        return os.stat(f"/proc/{pid}").st_uid == pwd.getpwnam(user).pw_uid
    except (OSError, KeyError):
        return False


if __name__ == "__main__":
    main()
