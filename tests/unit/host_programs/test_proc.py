"""Processes as the kernel tells of them, whatever they call themselves."""

import os
import socket

import pytest

from tests.unit.host_programs.conftest import Start
from wshost.common import proc, sockets

# What others may call themselves: no text, and with what follows a name in /proc/PID/stat.
ODD = """
import time
with open("/proc/self/comm", "wb") as file:
    file.write(b"\\xd1\\xff) Z 1 (")
print(flush=True)
time.sleep(1000)
"""


@pytest.fixture
def odd(program: Start) -> int:
    process = program(ODD)
    assert process.stdout is not None
    process.stdout.readline()
    return process.pid


def test_fields(odd: int) -> None:
    state, parent, *_ = proc.fields(odd)
    assert (state in "RS", int(parent)) == (True, os.getpid())
    assert 0 <= proc.age(odd) < 24 * 3600
    assert proc.name(odd)


def test_lineage(odd: int) -> None:
    found = list(proc.lineage(odd))
    assert found[:3] == [odd, os.getpid(), os.getppid()]
    assert 1 not in found


def test_who_is_gone() -> None:
    for ask in (proc.fields, proc.age, proc.name):
        with pytest.raises(OSError, match="No such"):
            ask(2**22 + 1)
    assert list(proc.lineage(2**22 + 1)) == []


def test_families_have_those_with_odd_names(odd: int) -> None:
    assert odd in sockets.families({os.getpid()})[os.getpid()]


def test_a_socket_whose_name_is_no_text() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # No text, and with a line break, which makes a row of its own in the kernel's table.
        listener.bind(b"\0\xd1\xff\n1: 2 3 %d" % os.getpid())
        listener.listen()
        assert sockets.held({os.getpid()}) >= 0
        assert isinstance(sockets.listening(os.getpid()), list)
