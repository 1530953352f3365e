"""A plain GET that never waits: asked now, looked at again later."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Literal

Reply = Literal["answered", "absent", "impossible"]
"""Anything came back; nothing listens there; or it could not be asked, which says nothing."""


class Question:
    """One question to a process. Close it in the end."""

    def __init__(
        self,
        where: str | tuple[str, int],
        text: bytes,
        source: int | None = None,
        held: bool = False,
    ) -> None:
        """Connect to a unix socket's path, or to an address and a port, and ask.

        text: the request. source: the port to come from, which is free again at once when the
        question is closed. held: only connect; nothing is said until this is set to False.
        """
        self.reply: Reply | None = None
        self.complaint = ""
        """What kept it from being asked, in words."""
        self.over = False
        """Whether nothing more will come."""
        self.source = source
        self.held = held
        self._text = text
        self._sent = False
        if isinstance(where, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            if source is not None and not isinstance(where, str):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                # Ends with a reset in place of a minute of TIME_WAIT.
                reset = struct.pack("ii", 1, 0)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                self.socket.bind((where[0], source))
            error = self.socket.connect_ex(where)
        except OSError as refused:
            error = refused.errno or errno.EIO
        if error == errno.EAGAIN:
            # A unix socket with a full queue: somebody has it, who accepts nothing.
            self.over = True
        elif error not in (0, errno.EINPROGRESS):
            self._fail(error)
        else:
            self.proceed()

    def proceed(self) -> None:
        """Do what can be done without waiting."""
        if self.over or self.held:
            return
        try:
            if not self._sent:
                self._send()
            while self.socket.recv(65_536):
                self.reply = "answered"
        except BlockingIOError:
            return
        except OSError as error:
            if not self._sent:
                self._fail(error.errno or errno.EIO)
                return
        # Closed or reset, with an answer or without: the app's doing.
        self.reply, self.over = "answered", True

    def _send(self) -> None:
        # If the connection is not there yet, this raises BlockingIOError; else why there is none.
        self.socket.send(self._text)
        self._sent = True

    def _fail(self, error: int) -> None:
        self.over = True
        if error in (errno.ECONNREFUSED, errno.ENOENT):
            self.reply = "absent"
        elif error in (errno.EPIPE, errno.ECONNRESET):
            # It was accepted, and closed before anything was said: by a process that is alive, but
            # may open no more files.
            self.reply = "answered"
        else:
            self.reply, self.complaint = "impossible", os.strerror(error)

    def close(self) -> None:
        """Give the connection up."""
        self.socket.close()


def request(host: str, path: str) -> bytes:
    """Return what to send."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: wsdeploy-watchdog\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
