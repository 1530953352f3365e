"""Who listens on a host, and which of them is SSH."""

from wshost.survey import listeners

# As iproute2 6.1 and 6.15 print it.
LISTING = """\
udp UNCONN 0      0      0.0.0.0:68 0.0.0.0:* ino:1 sk:1 cgroup:/system.slice/networking.service <->
udp UNCONN 0      0    127.0.0.53%lo:53 0.0.0.0:* uid:101 ino:2 sk:2 cgroup:/x.service <->
tcp LISTEN 0      128    0.0.0.0:22 0.0.0.0:* cgroup:/system.slice/ssh.service <->
tcp LISTEN 0      128       [::]:22    [::]:* cgroup:/system.slice/ssh.service v6only:1 <->
tcp LISTEN 0      128          *:2022       *:* cgroup:/s/system-ssh.slice/ssh.socket <->
tcp LISTEN 0      128  127.0.0.1:8000 0.0.0.0:* cgroup:/system.slice/supervisor.service <->
tcp LISTEN 0      128      [::1]:8000    [::]:* cgroup:/system.slice/supervisor.service <->
tcp LISTEN 0      5    10.0.0.1:9100 0.0.0.0:* uid:33 cgroup:unreachable:f02 <->
tcp LISTEN 0      5    [fe80::1]%eth0:9101 [::]:* ino:9 sk:9 <->
"""


def test_what_others_could_reach() -> None:
    assert [(it["protocol"], it["port"], it["unit"]) for it in listeners.parse(LISTING)] == [
        ("tcp", 22, "ssh.service"),
        ("tcp", 2022, "ssh.socket"),
        ("tcp", 9100, ""),
        ("tcp", 9101, ""),
        ("udp", 68, "networking.service"),
    ]
    assert listeners.parse("") == listeners.parse("ss: not there\n") == []


def test_where_ssh_comes_in() -> None:
    found = listeners.parse(LISTING)
    assert listeners.ssh_ports(found, []) == [22, 2022]
    # A server that is no unit is known by the connection that this program has come by.
    environment = "LANG=C\0SSH_CONNECTION=fe80::1%eth0 41882 10.0.0.1 4022\0HOME=/root\0"
    assert listeners.ssh_ports([], ["", "A=B\0", environment]) == [4022]
    assert listeners.ssh_ports([], ["XSSH_CONNECTION=1 2 3 4\0", "SSH_CONNECTION=1 2\0"]) == []


def test_only_ssh_servers_are_ssh() -> None:
    for unit, ssh in (
        ("ssh.service", True),
        ("sshd.service", True),
        ("sshd@7-10.0.0.1:22.service", True),
        ("dropbear.service", True),
        ("my-ssh.service", False),
        ("sshguard.service", False),
    ):
        assert listeners.is_ssh({"protocol": "tcp", "port": 1, "unit": unit}) is ssh, unit
    assert not listeners.is_ssh({"protocol": "udp", "port": 1, "unit": "ssh.service"})


def test_ports_in_rules() -> None:
    assert listeners.app_ports("#!/usr/sbin/nft -f\n# app ports: 8000 8001\n\n") == [8000, 8001]
    assert listeners.app_ports("# app ports: \n") == listeners.app_ports("") == []
