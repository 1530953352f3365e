"""What the sandbox remembers on disk, and the lock that commands take turns with.

What runs, and what is mounted, is always looked up in the kernel; files only hold what the kernel
can't tell: which suite and address a host was given.
"""

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

STATE = Path("/var/lib/wsdeploy-sandbox")
"""On disk, and not below a home directory, because an overlay's upper layer must be on a file
system that supports it."""

KEY = STATE / "ssh" / "id_ed25519"
KNOWN_HOSTS = STATE / "ssh" / "known_hosts"
HOSTS = STATE / "hosts"
NETWORK = STATE / "network.json"
INOTIFY = STATE / "inotify.json"


@dataclass(frozen=True)
class Record:
    """What is remembered of one host."""

    name: str
    suite: str
    number: int
    """The last part of its addresses."""
    base: str
    """The tree that its overlay lies on."""
    host_key: str
    """Its public SSH key."""
    layer: str = ""
    """The tree of packages between the two, if there is one."""

    @property
    def directory(self) -> Path:
        """Everything of this host."""
        return HOSTS / self.name

    @property
    def root(self) -> Path:
        """Where its file system is mounted."""
        return self.directory / "root"

    @property
    def ready(self) -> Path:
        """Holds the process id of the keeper under which the host was seen to have booted."""
        return self.directory / "ready"

    @property
    def console(self) -> Path:
        """What its console said."""
        return self.directory / "console.log"


def records() -> dict[str, Record]:
    """Return all hosts that were made completely, by name."""
    found = {}
    for name in directories():
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
            found[name] = Record(**json.loads((HOSTS / name / "host.json").read_text()))
    return found


def directories() -> list[str]:
    """Return the names of all hosts that have a directory, even if making them was cut short."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in HOSTS.iterdir())
    return []


def remember(record: Record) -> None:
    """Write a host down; from here on it exists."""
    write_json(record.directory / "host.json", asdict(record))


def write_json(path: Path, content: object) -> None:
    """Write a JSON file that is there whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(content, indent=2) + "\n")
    new.replace(path)


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Let one command at a time change the sandbox; others wait and say so.

    The kernel gives the lock up when its holder dies, however it dies.
    """
    descriptor = _open_and_take()
    try:
        yield
    finally:
        os.close(descriptor)


def _open_and_take() -> int:
    file = STATE / "lock"
    while True:
        STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            _take(descriptor)
            # `down` removes the file while it holds the lock, so what we took may be gone.
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == file.stat().st_ino:
                    return descriptor
            os.close(descriptor)


def _take(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another sandbox command to finish", file=sys.stderr, flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
