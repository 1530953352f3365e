"""Connections to hosts that are gone."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from wsdeploy.deploy import connection


def reached_by(sock: object, active: bool = True) -> Any:
    transport = SimpleNamespace(sock=sock, is_active=lambda: active)
    client = SimpleNamespace(get_transport=lambda: transport)
    return SimpleNamespace(connector=SimpleNamespace(client=client))


def test_a_host_that_says_nothing_for_a_minute_is_gone() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        connection.watch(reached_by(sock))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        tcp = socket.IPPROTO_TCP
        idle = sock.getsockopt(tcp, socket.TCP_KEEPIDLE)
        asked = sock.getsockopt(tcp, socket.TCP_KEEPCNT) * sock.getsockopt(
            tcp, socket.TCP_KEEPINTVL
        )
        assert idle + asked <= connection.GONE + connection.ASKED_EVERY
        assert sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == connection.GONE * 1000


@pytest.mark.parametrize("sock", [None, SimpleNamespace()], ids=["none", "channel"])
def test_what_has_no_socket_of_its_own_is_left_alone(sock: object) -> None:
    connection.watch(reached_by(sock))


def test_hosts_that_ssh_does_not_reach() -> None:
    local: Any = SimpleNamespace(connector=SimpleNamespace())
    connection.watch(local)
    assert not connection.is_gone(local)


@pytest.mark.parametrize("active", [True, False])
def test_a_connection_that_has_ended(active: bool) -> None:
    assert connection.is_gone(reached_by(None, active)) is not active
