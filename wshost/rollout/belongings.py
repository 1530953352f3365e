"""Which processes belong to a generation, however they were started, and how they end.

Supervisor knows the processes that it has started, and no others. What those have started lives on
when they are killed: workers, pools, whatever has a session of its own. It is known by the
environment that Supervisor has given its ancestor, or by having descended from it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from wshost.common import proc, sockets, supervisor

GRACE = 1.0
"""Seconds that processes have after SIGTERM at least, when they are late already."""
ROUNDS = 5
"""Looks for what was started while others ended."""


def marked(group: str, name: str | None = None) -> set[int]:
    """Return the processes that have the environment of a group, or of one of its processes."""
    wanted = {f"SUPERVISOR_GROUP_NAME={group}".encode()}
    if name is not None:
        wanted.add(f"SUPERVISOR_PROCESS_NAME={name}".encode())
    found = set()
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if wanted <= set(file.read().split(b"\0")):
                found.add(pid)
    return found


class Belongings:
    """The processes of a group, or of one of its processes, each for ever the one it is now."""

    def __init__(self, group: str, leaders: Iterable[int], name: str | None = None) -> None:
        """Find them, while the processes that Supervisor has started are still there."""
        self._group, self._name = group, name
        self._handles: dict[int, int] = {}
        # Some servers overwrite their environment with a title.
        family = sockets.families({pid for pid in leaders if _parent(pid) == "supervisord"})
        self._find({pid for members in family.values() for pid in members})

    def _find(self, pids: Iterable[int] = ()) -> None:
        for pid in {*pids, *marked(self._group, self._name)} - self._handles.keys():
            with contextlib.suppress(OSError):
                self._handles[pid] = os.pidfd_open(pid)

    def end(self, deadline: float) -> int:
        """Wait until all of them have ended; SIGTERM now, SIGKILL at the deadline.

        deadline: of time.monotonic(). Returns how many had not ended by themselves.
        """
        late = 0
        for round_number in range(ROUNDS):
            self._find()
            left = [*self._left()]
            if not left:
                break
            if round_number == 0:
                late = len(left)
                self._signal(left, signal.SIGTERM)
                self._wait(left, max(deadline, time.monotonic() + GRACE))
            self._signal(left, signal.SIGKILL)
            self._wait(left, time.monotonic() + GRACE)
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()
        return late

    def _left(self) -> Iterator[int]:
        """Yield the handles of those that have not ended."""
        for handle in self._handles.values():
            if not _ended(handle, 0):
                yield handle

    @staticmethod
    def _signal(handles: list[int], number: int) -> None:
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)

    @staticmethod
    def _wait(handles: list[int], deadline: float) -> None:
        for handle in handles:
            _ended(handle, max(0, deadline - time.monotonic()))


def end_strays(user: str, running: Iterable[int]) -> None:
    """End what earlier generations have left that has neither their environment nor an ancestor.

    It is among Supervisor's processes by its control group, is the app's user's, and is older than
    all that runs now. running: the first processes of the generation that stays.
    """
    doomed = []
    for pid in strays(user, list(running)):
        with contextlib.suppress(OSError):
            doomed.append(os.pidfd_open(pid))
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = [handle for handle in doomed if not _ended(handle, 0)]
        Belongings._signal(left, number)
        Belongings._wait(left, time.monotonic() + GRACE)
    for handle in doomed:
        os.close(handle)


def strays(user: str, running: list[int]) -> list[int]:
    """Return the processes that `end_strays` ends; none if nothing runs."""
    found: list[int] = []
    with contextlib.suppress(OSError, KeyError, ValueError, supervisor.SupervisorError):
        own, uid = int(supervisor.call("getPID")), pwd.getpwnam(user).pw_uid
        group = Path(f"/proc/{own}/cgroup").read_text().splitlines()[-1].partition("::")[2]
        oldest = max((proc.age(pid) for pid in running), default=float("inf"))
        for text in Path(f"/sys/fs/cgroup{group}/cgroup.procs").read_text().split():
            pid = int(text)
            with contextlib.suppress(OSError):
                if (
                    os.stat(f"/proc/{pid}").st_uid == uid
                    and proc.age(pid) > oldest
                    and own not in proc.lineage(pid)
                    and not _has_environment(pid)
                ):
                    found.append(pid)
    return found


def _has_environment(pid: int) -> bool:
    return b"SUPERVISOR_GROUP_NAME=" in Path(f"/proc/{pid}/environ").read_bytes()


def _parent(pid: int) -> str:
    """Return the name of a process's parent, or nothing."""
    with contextlib.suppress(OSError):
        return proc.name(int(proc.fields(pid)[1]))
    return ""


def _ended(handle: int, seconds: float) -> bool:
    """Tell whether a process has ended, or ends within so many seconds."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
