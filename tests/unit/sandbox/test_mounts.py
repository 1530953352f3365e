from pathlib import Path

import pytest

from wsdeploy_sandbox.cgroups import unified_root
from wsdeploy_sandbox.mounts import filesystem_of, parse_mountinfo

MOUNTINFO = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /run rw - tmpfs tmpfs rw,mode=755
24 22 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
25 24 0:27 / /sys/fs/cgroup/systemd rw master:2 - cgroup cgroup rw,name=systemd
26 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
27 22 0:40 / /mnt/with\040blank rw - overlay over\134lay rw,lowerdir=/a,upperdir=/b
28 22 0:41 / /run rw - ramfs none rw
"""
MOUNTS = parse_mountinfo(MOUNTINFO)


def test_mountinfo_is_unescaped() -> None:
    mount = MOUNTS[5]
    assert (mount.point, mount.source) == (Path("/mnt/with blank"), "over\\lay")
    assert mount.options == "rw,lowerdir=/a,upperdir=/b"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/not/there/yet", "ext4"),
        ("/runaway", "ext4"),
        ("/run/x", "ramfs"),  # mounted over the tmpfs
        ("/mnt/with blank/x", "overlay"),
    ],
)
def test_filesystem_that_holds_a_path(path: str, kind: str) -> None:
    assert filesystem_of(Path(path), MOUNTS) == kind


def test_control_groups_beside_version_1() -> None:
    assert unified_root(MOUNTS) == Path("/sys/fs/cgroup/unified")
    assert unified_root(MOUNTS[:4]) is None
