"""What is compared: all on one host, reached on ports of their own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench.clients import Crowd, Target
from bench.traffic import plain, tracking
from bench.traffic.host import Host

GUIDES = Path(__file__).with_name("guides")
READY = 15
"""Seconds that a contender may take to start."""
ENOUGH = 16
"""Clients that meet each process of a contender."""
DIRECT_PORT = 8100
"""Of the first process that clients reach without a proxy."""

CONFIGURATIONS = {"nginx": "/etc/nginx/nginx.conf", "haproxy": "/etc/haproxy/haproxy.cfg"}


@dataclass(frozen=True)
class Contender:
    """A way to serve WebSockets."""

    target: Target
    proxy: str | None
    """The systemd unit of its proxy, if it has one."""
    app: str
    """The unit of the app's processes."""

    def processor(self, host: Host) -> tuple[float, float]:
        """Return the seconds of processor time that proxy and app have taken so far."""
        return host.processor(self.proxy) if self.proxy else 0.0, host.processor(self.app)


def prepare(host: Host) -> dict[str, Contender]:
    """Start what is compared with the deployed service, and return all contenders by name."""
    tracking.off(host)
    _start_plain(host)
    _start_guide(host)
    processes = start_direct(host)

    def target(scheme: str, *ports: int) -> Target:
        return Target(f"{scheme}://{host.domain}/", tuple((host.address, port) for port in ports))

    own = f"{host.proxy}.service"
    direct = range(DIRECT_PORT, DIRECT_PORT + processes)
    guide = "guide-proxy.service", "guide-app.service"
    found = {
        "ours, TLS": Contender(target("wss", 443), own, "supervisor.service"),
        "guide, TLS": Contender(target("wss", 8443), *guide),
        "ours, plain": Contender(target("ws", plain.PORT), "plain.service", "supervisor.service"),
        "guide, plain": Contender(target("ws", 8082), *guide),
        "processes": Contender(target("ws", *direct), None, "direct.service"),
        "one process": Contender(target("ws", DIRECT_PORT), None, "direct.service"),
    }
    for name, contender in found.items():
        _await(name, contender)
    return found


def _await(name: str, contender: Contender) -> None:
    """Wait until as many clients as have to meet each process get in."""
    deadline = time.monotonic() + READY
    with Crowd(contender.target, workers=1) as crowd:
        while crowd.open(ENOUGH).refused:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not serve")
            crowd.leave()
            time.sleep(0.2)


def _unit(host: Host, name: str, command: str, *options: str) -> None:
    """Run a command as a unit, in place of one of the same name."""
    host.shell(
        f"systemctl stop {name}.service 2>/dev/null || true\n"
        f"systemctl reset-failed {name}.service 2>/dev/null || true\n"
        f"systemd-run --quiet --unit={name} {' '.join(options)} {command}"
    )


def _start_plain(host: Host) -> None:
    """Run the deployed proxy's configuration once more, without TLS."""
    deployed = CONFIGURATIONS[host.proxy]
    changes = plain.NGINX if host.proxy == "nginx" else plain.HAPROXY
    path = f"{deployed}.plain"
    host.write(path, plain.without_tls(host.shell(f"cat {deployed}"), changes))
    commands = {
        "nginx": f"/usr/sbin/nginx -c {path} -g 'daemon off;'",
        "haproxy": f"/usr/sbin/haproxy -Ws -f {path}",
    }
    _unit(host, "plain", commands[host.proxy], "-p LimitNOFILE=20000")


def _start_guide(host: Host) -> None:
    """Do what the guide says, as the user that the proxy's package has."""
    user = {"nginx": "www-data", "haproxy": "haproxy"}[host.proxy]
    proxy = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[host.proxy]
    host.shell(
        "mkdir -p /opt/guide; cat /etc/ws/tls/cert.pem /etc/ws/tls/key.pem >/opt/guide/pair.pem"
    )
    host.write("/opt/guide/app.py", (GUIDES / f"{host.proxy}_app.py").read_text())
    for name in ("supervisord.conf", proxy):
        host.write(f"/opt/guide/{name}", (GUIDES / name).read_text())
    host.shell(f"chown -R {user} /opt/guide")
    options = f"--uid={user}", "--working-directory=/opt/guide"
    packages = "PYTHONPATH=$(readlink -f /srv/ws/current)/lib"
    _unit(host, "guide-app", "supervisord -c supervisord.conf -n", *options, f"-E {packages}")
    commands = {
        # Relative paths are those of the folder that it is started in, as when nginx is built so.
        "nginx": "nginx -p /opt/guide/ -c nginx.conf -e stderr -g 'pid nginx.pid;'",
        "haproxy": "haproxy -f haproxy.cfg",
    }
    _unit(host, "guide-proxy", commands[host.proxy], *options)


def start_direct(host: Host, compression: str = "low") -> int:
    """Run the deployed app's processes once more, on TCP ports, with this level of compression.

    Returns how many there are.
    """
    processes = int(host.shell("ls /run/ws/current/*.sock | wc -l"))
    host.shell(
        "release=$(readlink -f /srv/ws/current)\n"
        "systemctl stop direct.service 2>/dev/null || true\n"
        "systemctl reset-failed direct.service 2>/dev/null || true\n"
        "cat /etc/ws/*.env >/run/direct.env\n"
        f"sed -i 's/^WS_COMPRESSION=.*/WS_COMPRESSION=\"{compression}\"/' /run/direct.env\n"
        "cat >/run/direct.sh <<E\n"
        f"for number in $(seq 0 {processes - 1} | tr '\\n' ' '); do\n"
        "    SUPERVISOR_PROCESS_NAME=ws_0\\$number /usr/bin/python3 -I $release/launch.py"
        f" /run/direct.env 20000 tcp:0.0.0.0:{DIRECT_PORT} python $release/app/app.py &\n"
        "done\n"
        "wait\n"
        "E\n"
        "chown ws /run/direct.env\n"
        "systemd-run --quiet --unit=direct --uid=ws -p LimitNOFILE=20000"
        " sh /run/direct.sh\n"
        f"for port in $(seq {DIRECT_PORT} {DIRECT_PORT + processes - 1}); do\n"
        '    timeout 10 sh -c "until ss -Hltn sport = $port | grep -q .; do sleep 0.1; done"\n'
        "done"
    )
    return processes
