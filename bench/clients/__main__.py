"""The crowd from a shell: prints what it has seen as JSON.

python -m bench.clients wss://ws.sandbox.test/ 10.77.77.11:443 --clients 5000 hold --seconds 10
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from bench.clients import sources
from bench.clients.crowd import Crowd
from bench.clients.target import Target


def main() -> None:
    """Read the command line, and do what it says."""
    arguments = _arguments()
    target = Target(
        arguments.url,
        tuple(
            (address.rpartition(":")[0], int(address.rpartition(":")[2]))
            for address in arguments.address
        ),
        arguments.offer,
    )
    own = sources.on_bridge(arguments.sources) if arguments.sources else ()
    with Crowd(target, own) as crowd:
        if arguments.mode == "handshakes":
            found: dict[str, Any] = {}
        else:
            found = {"open": crowd.open(arguments.clients, most_refused=100).as_json()}
        if arguments.mode == "hold":
            time.sleep(arguments.seconds)
        elif arguments.mode == "echo":
            found["echo"] = crowd.echo(arguments.size, arguments.seconds).as_json()
        elif arguments.mode == "handshakes":
            found["handshakes"] = crowd.handshakes(
                arguments.clients, arguments.seconds, resume=arguments.resume
            ).as_json()
        else:
            found["storm"] = crowd.reconnect(
                arguments.seconds,
                cut=not arguments.wait,
                patient=arguments.patient,
                resume=arguments.resume,
            ).as_json()
    print(json.dumps(found, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.clients")
    parser.add_argument("url", help="such as wss://ws.example.org/")
    parser.add_argument("address", nargs="+", help="ADDRESS:PORT where it is; several take turns")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--offer", action="store_true", help="offer compression")
    parser.add_argument(
        "--sources", type=int, default=0, help="own addresses in the sandbox's network to use"
    )
    modes = parser.add_subparsers(dest="mode", required=True)
    mode = modes.add_parser("hold", help="connect, and stay for some seconds")
    mode.add_argument("--seconds", type=float, default=5)
    mode = modes.add_parser("echo", help="send a message, and the next when its echo is there")
    mode.add_argument("--seconds", type=float, default=5)
    mode.add_argument("--size", type=int, default=64, help="bytes of a message")
    mode = modes.add_parser("handshakes", help="connect and leave, again and again")
    mode.add_argument("--seconds", type=float, default=5)
    mode.add_argument("--resume", action="store_true", help="resume TLS sessions")
    mode = modes.add_parser("storm", help="all lose the connection and come back")
    mode.add_argument("--seconds", type=float, default=60, help="at most")
    mode.add_argument("--resume", action="store_true", help="resume TLS sessions")
    mode.add_argument("--wait", action="store_true", help="for the server to end the connections")
    mode.add_argument("--patient", action="store_true", help="back off as websockets' client does")
    return parser.parse_args()


if __name__ == "__main__":
    main()
