"""The kernel's limit of inotify instances, which bounds how many hosts this machine can run."""

import contextlib
from pathlib import Path

from wsdeploy_sandbox import state
from wsdeploy_sandbox.errors import SandboxError

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
"""How many root may have, on this machine and in all of its hosts together."""
PER_HOST = 7
"""What a booted Debian host has. With the kernel's 128, the 19th does not boot any more."""
OTHERS = 128
"""What is left to the programs of this machine itself, where the limit is raised."""


def ensure(hosts: int) -> None:
    """Let this machine run so many hosts.

    Raises SandboxError where the limit is too low and may not be raised.
    """
    limit = int(INSTANCES.read_text())
    needed = hosts * PER_HOST + OTHERS
    if limit >= needed:
        return
    try:
        # Written down before it is changed, so that `down` can always change it back.
        if not state.INOTIFY.exists():
            state.write_json(state.INOTIFY, limit)
        INSTANCES.write_text(str(needed))
    except OSError as error:
        if limit < hosts * PER_HOST:
            raise SandboxError(
                f"this machine has room for {limit // PER_HOST} hosts, not {hosts}: "
                f"fs.inotify.max_user_instances is {limit}, and can't be raised here "
                f"({error.strerror}); raise it to {needed} where this machine's kernel is "
                "administered"
            ) from None


def restore() -> None:
    """Put the limit back to what it was before the first host."""
    with contextlib.suppress(FileNotFoundError):
        before = state.INOTIFY.read_text()
        with contextlib.suppress(OSError):
            INSTANCES.write_text(before)
        state.INOTIFY.unlink()
