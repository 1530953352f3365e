"""Where things are on a host. Users may rely on these paths."""

from __future__ import annotations

NGINX_CONF = "/etc/nginx/nginx.conf"


def etc(name: str) -> str:
    """Return the folder of environments and certificates."""
    return f"/etc/{name}"


def releases(name: str) -> str:
    """Return the folder with a folder for each release."""
    return f"/srv/{name}/releases"


def sockets(name: str, generation: str) -> str:
    """Return the folder with the sockets of a generation; `current` is the one that serves."""
    return f"/run/{name}/{generation}"


def drain_file(name: str) -> str:
    """Return the file that shortens the drain of all processes while the host goes down."""
    return f"/run/{name}/drain"


def hold_file(name: str) -> str:
    """Return the file whose time says until when a fault of the app does not move addresses."""
    return f"/run/{name}/hold"


def logs(name: str, generation: str) -> str:
    """Return the folder with the logs of a generation."""
    return f"/var/log/{name}/{generation}"


def environment(name: str, generation: str) -> str:
    """Return the file with the environment of a generation's processes."""
    return f"{etc(name)}/{generation}.env"


def program(name: str, generation: str) -> str:
    """Return Supervisor's file for a generation."""
    return f"/etc/supervisor/conf.d/{name}-{generation}.conf"


def description(name: str, generation: str) -> str:
    """Return the file beside it that says what the generation is."""
    return f"/etc/supervisor/conf.d/{name}-{generation}.json"


def boot(name: str) -> str:
    """Return the file that brings the live generation's folders back after a boot."""
    return f"/etc/tmpfiles.d/{name}-generation.conf"


def record(name: str, generation: str) -> str:
    """Return the file that holds what brings a generation back; `*` stands for any."""
    return f"/var/lib/wsdeploy/services/{name}/generations/{generation}.json"


def serving(name: str) -> str:
    """Return the file that says what serves, and which commit that was built from."""
    return f"/var/lib/wsdeploy/services/{name}/serving.json"


def release_commands(name: str) -> str:
    """Return the file that says for which releases their commands have run."""
    return f"/var/lib/wsdeploy/services/{name}/release-commands.json"


def left(name: str) -> str:
    """Return the folder of what the app has left in working directories, by generation."""
    return f"/var/lib/wsdeploy/services/{name}/left/"


def certificate(name: str) -> str:
    """Return the file with the certificate and its chain."""
    return f"{etc(name)}/tls/cert.pem"


def key(name: str) -> str:
    """Return the file with the private key."""
    return f"{etc(name)}/tls/key.pem"


def acme(name: str) -> str:
    """Return the folder of what certificates are ordered with, for root alone."""
    return f"{etc(name)}/acme"


def thumbprint(name: str) -> str:
    """Return the file with the thumbprint of the key of the account with the authority."""
    return f"{acme(name)}/thumbprint"


def acme_programs(name: str) -> str:
    """Return the folder with the programs that renew certificates."""
    return f"/usr/local/lib/{name}-acme"


def host_keypair(name: str, spare: bool = False) -> str:
    """Return the file with a host's own key and certificate for TLS between the tiers.

    Key and certificate are one file, so that they are exchanged in one step.
    """
    return f"{etc(name)}/tls/internal{'-spare' if spare else ''}.pem"


def drop_in(name: str, unit: str) -> str:
    """Return the file that adds to a unit of Debian's."""
    return f"/etc/systemd/system/{unit}.d/10-{name}.conf"


def sandbox(name: str, unit: str) -> str:
    """Return the file with the sandbox of a unit of Debian's."""
    return f"/etc/systemd/system/{unit}.d/20-{name}-sandbox.conf"


def started(name: str, unit: str) -> str:
    """Return the file in which a unit notes the sandbox that it was started with."""
    return f"/run/wsdeploy/{name}-{unit}"


def data(name: str) -> str:
    """Return the folder that the app may write to."""
    return f"/var/lib/{name}"


def watchdog(name: str) -> str:
    """Return the folder with the watchdog's own programs."""
    return f"/usr/local/lib/{name}-watchdog"


def reach(name: str) -> str:
    """Return the folder with the programs that check app hosts for nginx."""
    return f"/usr/local/lib/{name}-reach"


def metrics(name: str) -> str:
    """Return the folder with the programs that make the page of numbers."""
    return f"/usr/local/lib/{name}-metrics"


def leaving(name: str) -> str:
    """Return the folder with the programs that watch for the machine's end."""
    return f"/usr/local/lib/{name}-leaving"


def leaving_mark(name: str) -> str:
    """Return the file that is there from when the cloud has said that the machine goes."""
    return f"/run/{name}/leaving"


def proxy_log(name: str) -> str:
    """Return the file that nginx logs requests to; HAProxy logs to the journal."""
    return f"/var/log/nginx/{name}.log"


def bundle(name: str) -> str:
    """Return the folder with the bundle of a machine that sets itself up."""
    return f"/opt/{name}"


def unit(unit: str) -> str:
    """Return the file of a systemd unit of our own."""
    return f"/etc/systemd/system/{unit}"
