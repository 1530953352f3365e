import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from wsdeploy_sandbox import inotify, state
from wsdeploy_sandbox.errors import SandboxError


class Limit:
    """What stands in for the kernel's file."""

    def __init__(self, value: int, *, fixed: bool = False) -> None:
        self.value, self.fixed = value, fixed

    def read_text(self) -> str:
        return f"{self.value}\n"

    def write_text(self, text: str) -> None:
        if self.fixed:
            raise OSError(errno.EROFS, "Read-only file system")
        self.value = int(text)


MakeLimit = Callable[..., Limit]


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeLimit:
    """Return a function that sets the limit."""
    monkeypatch.setattr(state, "INOTIFY", tmp_path / "inotify.json")

    def make(value: int, **options: bool) -> Limit:
        made = Limit(value, **options)
        monkeypatch.setattr(inotify, "INSTANCES", made)
        return made

    return make


def test_it_is_raised_for_many_hosts_and_put_back(limit: MakeLimit) -> None:
    there = limit(128)
    inotify.ensure(30)
    assert there.value == 30 * inotify.PER_HOST + inotify.OTHERS
    inotify.ensure(60)
    assert there.value == 60 * inotify.PER_HOST + inotify.OTHERS
    inotify.restore()
    assert there.value == 128
    inotify.restore()


def test_a_limit_that_is_enough_is_left_alone(limit: MakeLimit) -> None:
    there = limit(8192, fixed=True)
    inotify.ensure(244)
    inotify.restore()
    assert there.value == 8192


def test_where_it_may_not_be_raised_the_limit_is_named(limit: MakeLimit) -> None:
    limit(128, fixed=True)
    inotify.ensure(18)
    with pytest.raises(SandboxError) as error:
        inotify.ensure(19)
    assert str(error.value) == (
        "this machine has room for 18 hosts, not 19: fs.inotify.max_user_instances is 128, and "
        "can't be raised here (Read-only file system); raise it to 261 where this machine's "
        "kernel is administered"
    )
