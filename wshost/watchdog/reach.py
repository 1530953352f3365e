"""Refuse connections to app hosts that do not answer, at once, so that nginx goes on to the next.

    python3 -m wshost.watchdog.reach CONFIGURATION

To a host that is off or cut off, each connection takes until nginx gives it up. This program asks
every app host twice a second. One that does not answer is put into a set of the packet filter,
whose rule answers its connections with a reset; when it answers again, it is taken out. nginx needs
no reload, and counts no failures of its own: one that it counts keeps a server away from everybody
until a connection to it ends, and a WebSocket's ends hours later.

A host that refuses a connection answers. So does one whose app is down.
"""

from __future__ import annotations

import contextlib
import errno
import json
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wshost.common.journal import NOTICE, WARNING, notify, say

INTERVAL = 0.5
"""Seconds between two questions to a host that answers."""
INTERVAL_DOWN = 0.2
"""The same for one that does not, so that it is back soon."""
PATIENCE = 1.5
"""Seconds for an answer. The kernel repeats a lost packet after one, and that is no reason yet."""
MARK = 0x77735F72
"""What packets of this program carry: the rule lets them through."""
RELOAD = 5.0
"""Seconds between two looks whether the rules are still there."""

UP = (0, errno.ECONNREFUSED)
"""Results of a connect that only a host which is there gives."""


@dataclass
class Host:
    """An app host, as far as its answers go."""

    address: str
    ports: list[int]
    asked: dict[socket.socket, float] = field(default_factory=dict)
    due: float = 0.0
    silent_since: float | None = None
    """When the oldest question without an answer was asked; None right after an answer."""
    down: bool = False
    number: int = 0
    """Of questions, so that each port has its turn."""


class Reach:
    """Who answers, and the set of those who do not."""

    def __init__(self, table: str, hosts: list[Host], rules: str) -> None:
        self._table = table
        self._hosts = hosts
        self._rules = rules
        self._selector = selectors.DefaultSelector()
        self._look_at = 0.0

    def step(self, now: float) -> float:
        """Do what is due; return when there is something to do next."""
        if now >= self._look_at:
            self._look_at = now + RELOAD
            if not self._nft("list", "table", "inet", self._table, quiet=True):
                self.load()
        for host in self._hosts:
            self._time_out(host, now)
            if now >= host.due:
                self._ask(host, now)
        return min([self._look_at, *(host.due for host in self._hosts)])

    def load(self) -> None:
        """Load the rules, with the hosts that are down."""
        down = [host for host in self._hosts if host.down]
        self._nft("--file", "-", text=self._rules)
        for host in down:
            self._set("add", host)

    def wait(self, until: float) -> None:
        """Take in answers until it is time."""
        while True:
            ready = self._selector.select(max(0, until - time.monotonic()))
            for key, _ in ready:
                # The answer to another question may have closed this one.
                if key.fileobj in key.data.asked:
                    self._answered(key.data, key.fileobj)  # type: ignore[arg-type]
            if not ready or time.monotonic() >= until:
                return

    def close(self) -> None:
        """Let all connections through again."""
        self._nft("delete", "table", "inet", self._table)

    def _ask(self, host: Host, now: float) -> None:
        host.due = now + (INTERVAL_DOWN if host.down else INTERVAL)
        family = socket.AF_INET6 if ":" in host.address else socket.AF_INET
        question = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        port = host.ports[host.number % len(host.ports)]
        host.number += 1
        with contextlib.suppress(OSError):
            question.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        if host.silent_since is None:
            host.silent_since = now
        result = question.connect_ex((host.address, port))
        if result == errno.EINPROGRESS:
            host.asked[question] = now
            self._selector.register(question, selectors.EVENT_WRITE, host)
            return
        question.close()
        self._take(host, result)

    def _answered(self, host: Host, question: socket.socket) -> None:
        result = question.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._drop(host, question)
        self._take(host, result)

    def _take(self, host: Host, result: int) -> None:
        """Draw the conclusion from an answer, or from what the network says instead of one."""
        if result in UP:
            host.silent_since = None
            for question in list(host.asked):
                self._drop(host, question)
            if host.down:
                host.down = False
                self._set("delete", host)
                say(NOTICE, f"{host.address} answers again")

    def _time_out(self, host: Host, now: float) -> None:
        for question, asked in list(host.asked.items()):
            if now - asked > PATIENCE:
                self._drop(host, question)
        silent = host.silent_since is not None and now - host.silent_since > PATIENCE
        if silent and not host.down:
            host.down = True
            self._set("add", host)
            say(WARNING, f"{host.address} does not answer: connections to it are refused at once")

    def _drop(self, host: Host, question: socket.socket) -> None:
        self._selector.unregister(question)
        host.asked.pop(question, None)
        question.close()

    def _set(self, action: str, host: Host) -> None:
        name = "down6" if ":" in host.address else "down4"
        self._nft(action, "element", "inet", self._table, name, f"{{ {host.address} }}")

    @staticmethod
    def _nft(*words: str, text: str = "", quiet: bool = False) -> bool:
        done = subprocess.run(
            ("/usr/sbin/nft", *words), input=text, capture_output=True, text=True, check=False
        )
        if done.returncode and not quiet:
            say(WARNING, f"nft {' '.join(words)}: {done.stderr.strip()}")
        return done.returncode == 0


def rules(table: str, ports: list[int]) -> str:
    """Return the table for nft; whatever was there of it goes in the same transaction."""
    wanted = ", ".join(map(str, ports))
    begins = f"tcp dport {{ {wanted} }} tcp flags & (syn | ack) == syn"
    return f"""\
table inet {table} {{}}
delete table inet {table}
table inet {table} {{
    set down4 {{ type ipv4_addr; }}
    set down6 {{ type ipv6_addr; }}
    chain output {{
        type filter hook output priority filter - 1; policy accept;
        meta mark {MARK:#x} accept
        ip daddr @down4 {begins} reject with tcp reset
        ip6 daddr @down6 {begins} reject with tcp reset
    }}
}}
"""


def main(arguments: list[str]) -> None:
    """Watch the hosts of a configuration for ever; with --check, only read it.

    Its keys: `table`, the name of the table of the packet filter; `hosts`, addresses to ports.
    """
    configuration: dict[str, Any] = json.loads(Path(arguments[-1]).read_text())
    hosts = [Host(address, list(ports)) for address, ports in configuration["hosts"].items()]
    ports = sorted({port for host in hosts for port in host.ports})
    reach = Reach(configuration["table"], hosts, rules(configuration["table"], ports))
    if arguments[0] == "--check":
        return
    reach.load()
    notify("READY=1")
    while True:
        until = reach.step(time.monotonic())
        notify("WATCHDOG=1")
        reach.wait(until)


if __name__ == "__main__":
    main(sys.argv[1:])
