import os
import socket
import stat
from pathlib import Path

import pytest

from wsapp.listen import ListenError, open_unix_socket


def test_someone_elses_socket_is_not_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    old = open_unix_socket(path, 10)
    os.unlink(path)
    new = open_unix_socket(path, 10)
    old.unlink()
    assert os.path.exists(path)
    new.unlink()
    assert not os.path.exists(path)
    new.unlink()  # gone already: nothing to do
    old.sock.close()
    new.sock.close()


def test_a_full_backlog_is_a_living_process(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    listener = open_unix_socket(path, 1)
    clients = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        clients.append(client)
        if client.connect_ex(path):
            break
    with pytest.raises(ListenError, match="another process does, and is left alone"):
        open_unix_socket(path, 1)
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    for each in (*clients, listener.sock):
        each.close()


def test_a_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="there is something that isn't a socket"):
        open_unix_socket(str(path), 1)
    assert path.read_text() == "precious"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=r"can't listen on .*: No such file or directory"):
        open_unix_socket(str(tmp_path / "none" / "a.sock"), 1)
