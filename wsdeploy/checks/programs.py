"""How nginx and HAProxy are looked at on a host."""

from dataclasses import dataclass

from wsdeploy.plan.host import paths
from wsdeploy.plan.proxy import haproxy
from wsdeploy.settings import Nginx, Settings


@dataclass(frozen=True)
class Program:
    """A proxy, in commands."""

    service: str
    check: str
    """Exits with 0 and without a word if the configuration has neither errors nor warnings."""
    workers: str
    """Prints the PIDs of the processes that hold clients."""
    log: str
    """Prints all that was logged of handshakes, requests and errors."""


NGINX = Program(
    service="nginx",
    check="nginx -t -q",
    workers="pgrep --parent $(cat /run/nginx.pid)",
    log="cat /var/log/nginx/*.log",
)
HAPROXY = Program(
    service="haproxy",
    check=f"haproxy -c -q -f {haproxy.CONFIGURATION}",
    workers="pgrep --uid haproxy haproxy",
    log="journalctl --unit haproxy --output cat --no-pager",
)


def chosen(settings: Settings) -> Program:
    """Return the proxy that the settings choose."""
    return NGINX if isinstance(settings.proxy, Nginx) else HAPROXY


def logs(settings: Settings) -> str:
    """Return a command that prints what proxy and app have logged."""
    return f"{{ {chosen(settings).log}; cat {paths.logs(settings.name, '')}*/*.log; }} 2>/dev/null"
