"""The `sandbox` command."""

import argparse
import json
import os
import sys

from wsdeploy_sandbox import lifecycle, ssh
from wsdeploy_sandbox.errors import SandboxError
from wsdeploy_sandbox.host import DEFAULT_SUITE, SUITES, SandboxHost


def main() -> None:
    """Run the command line; errors are one line and exit status 1."""
    arguments = parser().parse_args()
    try:
        sys.exit(_run(arguments))
    except SandboxError as error:
        sys.exit(f"sandbox: {error}")
    except OSError as error:
        sys.exit(f"sandbox: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="sandbox", description="Throwaway Debian hosts on this machine."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="make hosts, or start those that are powered off")
    suites = " or ".join(SUITES)
    up.add_argument(
        "names", nargs="+", metavar="NAME[:SUITE]", help=f"{suites}; {DEFAULT_SUITE} if not said"
    )

    list_ = commands.add_parser("list", help="show the hosts there are")
    list_.add_argument("--json", action="store_true", help="as an array of objects")

    shell = commands.add_parser("ssh", help="log in, or run a command and exit as it does")
    shell.add_argument("name", metavar="[USER@]NAME", help="as root, or as admin@NAME with sudo")
    shell.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD", help="a command")

    for name, help_ in (
        ("reboot", "reboot hosts and wait until they are back"),
        ("poweroff", "end hosts as if their power failed; `up` boots them again"),
    ):
        command = commands.add_parser(name, help=help_)
        command.add_argument("names", nargs="+", metavar="NAME")

    down = commands.add_parser("down", help="delete hosts, all if none is named")
    down.add_argument("names", nargs="*", metavar="NAME")
    return top


def table(hosts: list[SandboxHost]) -> str:
    """Return the hosts as lines of columns."""
    rows = [("NAME", "SUITE", "STATE", "ADDRESS", "ADDRESS6", "DOMAIN")]
    rows += [(h.name, h.suite, h.state, h.address, h.address6, h.domain) for h in hosts]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "up":
            print(table(lifecycle.up(*arguments.names)), end="")
        case "list":
            hosts = lifecycle.hosts()
            if arguments.json:
                print(json.dumps([host.as_json() for host in hosts], indent=2))
            else:
                print(table(hosts), end="")
        case "ssh":
            user, at, name = arguments.name.rpartition("@")
            host = lifecycle.find(name)
            if host.state != "running":
                raise SandboxError(f"{name} is {host.state}: `sandbox up {name}` starts it")
            command = ssh.command(user if at else host.user, host.address, *arguments.words)
            os.execvp(command[0], command)  # noqa: S606 - no shell on this side is the point
        case "reboot":
            lifecycle.reboot(*arguments.names)
        case "poweroff":
            lifecycle.poweroff(*arguments.names)
        case "down":
            for name in arguments.names:
                lifecycle.find(name)
            for name in lifecycle.down(*arguments.names):
                print(f"deleted {name}")
    return 0
