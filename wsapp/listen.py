"""Opening the place where the app listens, and giving it up without harming anyone else's."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

SOCKET_MODE = 0o660
"""The proxy's user needs to write; it has the folder's group."""


class ListenError(Exception):
    """The app can't listen where it was told to; the message says why, in one line."""


@dataclass(frozen=True)
class UnixSocket:
    """A listening unix socket and the file that stands for it."""

    sock: socket.socket
    path: str
    identity: tuple[int, int]
    """Device and inode of the file. Nothing else can get them while the socket is open."""

    def unlink(self) -> None:
        """Remove the file, if it's still ours. Queued connections are not affected."""
        with suppress(FileNotFoundError):
            if _identity(self.path) == self.identity:
                os.unlink(self.path)


def open_unix_socket(path: str, backlog: int) -> UnixSocket:
    """Listen on `path`. A file left by a dead process is replaced, a living one's never.

    asyncio's own way would replace both; whoever starts a process twice would then cut off the
    first one from all new clients, silently.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _locked(os.path.dirname(path) or "."):
            _remove_stale(path)
            sock.bind(path)
            os.chmod(path, SOCKET_MODE)  # whatever the umask is
            sock.listen(backlog)
        return UnixSocket(sock, path, _identity(path))
    except OSError as error:
        sock.close()
        raise ListenError(f"can't listen on {path}: {error.strerror}") from error
    except ListenError:
        sock.close()
        raise


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Let one process at a time look for a stale socket and replace it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_stale(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"can't listen on {path}: there is something that isn't a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(path)
    if result == errno.ECONNREFUSED:
        os.unlink(path)
    elif result != errno.ENOENT:  # success; or EAGAIN, a living process with a full backlog
        raise ListenError(f"can't listen on {path}: another process does, and is left alone")


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino
