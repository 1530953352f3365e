"""A plain GET that never waits: asked now, looked at again when there is something to see."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Literal

Reply = Literal["answered", "absent", "impossible"]
"""Anything came back; nothing listens there; or it could not be asked, which says nothing."""

_NOTHING_LISTENS = (errno.ECONNREFUSED, errno.ENOENT)
_UNDER_WAY = (0, errno.EINPROGRESS)


class Question:
    """One question to a process. Close it in the end."""

    def __init__(
        self,
        where: str | tuple[str, int],
        text: bytes,
        source: int | None = None,
    ) -> None:
        """Connect to a unix socket's path, or to an address and a port.

        text: the request. source: the port to come from, which is then free again at once when the
        question is closed.
        """
        self.reply: Reply | None = None
        self.complaint = ""
        """What kept it from being asked, in words."""
        self.source = source
        self.held = False
        """Whether nothing is said on it for the time being."""
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
                # A reset instead of two minutes of TIME_WAIT, after which the port is free.
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.socket.bind((where[0], source))
            self._judge(self.socket.connect_ex(where))
        except OSError as error:
            self._judge(error.errno or errno.EIO)

    def _judge(self, error: int) -> None:
        if error in _UNDER_WAY:
            return
        if error in _NOTHING_LISTENS:
            self.reply = "absent"
        elif error == errno.EAGAIN:
            # A unix socket whose queue is full: there is someone, who accepts nothing.
            self.held = True
        else:
            self.reply, self.complaint = "impossible", os.strerror(error)

    @property
    def waits_to_write(self) -> bool:
        """Whether the connection is not there yet, or nothing has been said on it."""
        return not self._sent and not self.held

    def proceed(self) -> bool:
        """Do what can be done without waiting. Returns False when there is nothing more to come."""
        try:
            if not self._sent:
                error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    self._judge(error)
                    return False
                self.socket.send(self._text)
                self._sent = True
                return True
            more = bool(self.socket.recv(65_536))
        except BlockingIOError:
            return True
        except OSError:
            # It was connected, so this is the app's doing.
            more = False
        self.reply = "answered"
        return more

    def close(self) -> None:
        """Give the connection up."""
        self.socket.close()


def text(host: str, path: str) -> bytes:
    """Return the request."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: wsdeploy-watchdog\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
