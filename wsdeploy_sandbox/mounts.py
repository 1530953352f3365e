"""What is mounted on this machine, and unmounting it again."""

import re
from dataclasses import dataclass
from pathlib import Path

from wsdeploy_sandbox.command import run, succeeds


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    point: Path
    kind: str
    source: str
    options: str


def parse_mountinfo(text: str) -> list[Mount]:
    """Parse the text of a mountinfo file, in its order: later mounts lie over earlier ones."""
    mounts = []
    for line in text.splitlines():
        # 36 35 98:0 /root /point rw,noatime [optional fields] - ext4 /dev/root rw,errors=continue
        left, _, right = line.partition(" - ")
        point = _unescape(left.split()[4])
        kind, source, options = (_unescape(field) for field in right.split(" ", 2))
        mounts.append(Mount(Path(point), kind, source, options))
    return mounts


def mounts() -> list[Mount]:
    """Return what is mounted now."""
    return parse_mountinfo(Path("/proc/self/mountinfo").read_text())


def filesystem_of(path: Path, among: list[Mount]) -> str:
    """Return the kind of file system (such as ext4) that holds a path, be it there yet or not."""
    holding = [mount for mount in among if path.is_relative_to(mount.point)]
    # Of equally deep mounts the last one covers the others.
    return max(enumerate(holding), key=lambda item: (len(item[1].point.parts), item[0]))[1].kind


def unmount_below(path: Path) -> None:
    """Unmount everything at or below a path, so that what is deleted there is really ours."""
    for mount in reversed(mounts()):
        # A busy mount is taken off lazily: it goes when the last process that uses it has gone.
        if mount.point.is_relative_to(path) and not succeeds(["umount", str(mount.point)]):
            run("umount", "--lazy", str(mount.point))


def _unescape(field: str) -> str:
    """Mountinfo writes blanks and backslashes in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
