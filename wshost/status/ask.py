"""Ask all processes of a generation at the same time, with a limit that none of them can stretch.

Where processes share a port, the kernel chooses who answers: it is asked until everybody has, or
nobody new does.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wshost.common.listen import Listen
from wshost.status import numbers

if TYPE_CHECKING:
    from wshost.requests import AppNumbers, Reply

LONGEST = 1_000_000
"""Bytes of an answer that are read."""
TRIES = 12
"""Questions for each process that shares its port: one in 100,000 is missed by chance."""
AT_ONCE = 2


@dataclass
class Answer:
    """What became of a question to a process."""

    reply: Reply
    numbers: AppNumbers | None = None
    text: str = ""
    """All that it tells of itself, if it has wsapp."""


@dataclass
class _Question:
    """One question, and what has come back so far."""

    process: str | None
    """None where the kernel chooses who answers."""
    socket: socket.socket
    text: bytes
    sent: bool = False
    answer: bytearray = field(default_factory=bytearray)


def processes(
    listen: Listen, names: list[str], group: str, host: str, patience: float
) -> Mapping[str, Answer]:
    """Return what processes answer to GET /metrics, by their names, as far as that is known.

    group: Supervisor's name of their generation, which is how they know themselves on a shared
    port. host: what they are asked as. patience: seconds for all of them together.
    """
    asked = _Asked(listen, names, group, host)
    deadline = time.monotonic() + patience
    try:
        asked.begin()
        while asked.waiting and (left := deadline - time.monotonic()) > 0:
            asked.step(left)
        return asked.conclude()
    finally:
        asked.close()


class _Asked:
    """Questions to one generation."""

    def __init__(self, listen: Listen, names: list[str], group: str, host: str) -> None:
        self._listen = listen
        self._names = names
        self._group = group
        self._text = (
            f"GET /metrics HTTP/1.1\r\nHost: {host}\r\nUser-Agent: wsdeploy-status\r\n"
            "Connection: close\r\n\r\n"
        ).encode()
        self._shared = listen.kind == "shared"
        self._left = TRIES * len(names)
        self._selector = selectors.DefaultSelector()
        self._found: dict[str, Answer] = {}
        self._nameless = 0
        """Answers on a shared port that do not say whose they are."""

    @property
    def waiting(self) -> bool:
        """Whether any answer is still to come."""
        return len(self._found) < len(self._names) and bool(self._selector.get_map())

    def begin(self) -> None:
        """Ask."""
        if self._shared:
            for _ in range(AT_ONCE * len(self._names)):
                self._ask(None)
        else:
            for name in self._names:
                self._ask(name)

    def step(self, seconds: float) -> None:
        """Take in what comes within some time."""
        for key, _ in self._selector.select(seconds):
            question: _Question = key.data
            try:
                self._proceed(question)
            except OSError as error:
                absent = not question.sent and error.errno in (errno.ECONNREFUSED, errno.ENOENT)
                # Who resets a connection is alive.
                self._end(question, "absent" if absent else "answered")

    def conclude(self) -> Mapping[str, Answer]:
        """Return what is known when the time is over, or all have answered."""
        silent = any(each.data.sent for each in self._selector.get_map().values())
        rest = self._rest(silent)
        for name in self._names:
            if rest and name not in self._found:
                self._found[name] = Answer(rest)
        return self._found

    def _rest(self, silent: bool) -> Reply | None:
        """Return what is to be said of processes that have not answered by their names."""
        if not self._shared:
            return "silent"
        if self._nameless:
            # Where none says who it is, who is silent is not known either.
            return None if silent else "answered"
        return "silent" if silent else "absent"

    def close(self) -> None:
        """Give up what is left."""
        for key in [*self._selector.get_map().values()]:
            key.data.socket.close()
        self._selector.close()

    def _ask(self, process: str | None) -> None:
        self._left -= 1
        unix = self._listen.unix
        family = socket.AF_UNIX if unix else socket.AF_INET
        if not unix and ":" in self._listen.place:
            family = socket.AF_INET6
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        question = _Question(process, made, self._text)
        where: str | tuple[str, int] = (
            self._listen.socket(process or "") if unix else self._listen.address(process or "00")
        )
        try:
            error = made.connect_ex(where)
        except OSError as refused:
            error = refused.errno or errno.EIO
        if error in (0, errno.EINPROGRESS):
            self._selector.register(made, selectors.EVENT_WRITE, question)
            return
        made.close()
        # EAGAIN: a unix socket with a full queue, whose process accepts nothing.
        self._note(process, "silent" if error == errno.EAGAIN else "absent")

    def _proceed(self, question: _Question) -> None:
        if not question.sent:
            if error := question.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "no connection")
            question.socket.send(question.text)
            question.sent = True
            self._selector.modify(question.socket, selectors.EVENT_READ, question)
            return
        read = question.socket.recv(65_536)
        question.answer += read
        if not read or len(question.answer) > LONGEST:
            self._end(question, "answered")

    def _end(self, question: _Question, reply: Reply) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(question.socket)
        question.socket.close()
        self._note(question.process, reply, question.answer.decode(errors="replace"))

    def _note(self, process: str | None, reply: Reply, text: str = "") -> None:
        told = numbers.read(text) if text else None
        if process is not None:
            self._found[process] = Answer(reply, *(told[2], text) if told else (None, ""))
            return
        if told and told[1] == self._group and told[0] in self._names:
            self._found[told[0]] = Answer(reply, told[2], text)
        elif reply == "answered" and not told:
            self._nameless += 1
        # Answers without names tell nothing more, however many there are.
        more = len(self._found) < len(self._names) and self._nameless < len(self._names)
        if reply == "answered" and more and self._left > 0:
            self._ask(None)
