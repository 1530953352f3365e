"""A certificate authority on a throwaway host: Debian's pebble, with a DNS server of its own."""

import json
import subprocess
from pathlib import Path

from wsdeploy_sandbox import SandboxHost

DIRECTORY_PORT, ROOT_PORT, DNS_PORT, NAMES_PORT = 14000, 15000, 8053, 8055
REFUSED = "refused.sandbox.test"
"""A name that it never issues for."""

# On Debian 13: the pebble of Debian 12 knows no list of names to refuse.
SETUP = """
set -eu
mkdir -p /etc/pebble
cd /etc/pebble
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc \
    -keyout key.pem -out ca.pem -days 30 -subj /CN=pebble -addext subjectAltName=IP:{address} \
    2>/dev/null
cat >pebble.json
systemd-run --quiet --unit=names --collect pebble-challtestsrv -dns01 127.0.0.1:{dns} \
    -defaultIPv4 '' -defaultIPv6 '' -http01 '' -https01 '' -tlsalpn01 '' -doh '' \
    -management 127.0.0.1:{names}
"""

START = (
    "systemd-run --quiet --unit=pebble --collect --setenv=PEBBLE_VA_NOSLEEP=1 "
    # It refuses some requests at random; clients repeat those once.
    "--setenv=PEBBLE_WFE_NONCEREJECT=0 "
    f"pebble -config /etc/pebble/pebble.json -dnsserver 127.0.0.1:{DNS_PORT}"
)


class Authority:
    """The authority on a host, which has these packages."""

    PACKAGES = ("pebble", "openssl", "curl")

    def __init__(self, host: SandboxHost, folder: Path) -> None:
        self.host = host
        self.folder = folder
        config = {
            "listenAddress": f"0.0.0.0:{DIRECTORY_PORT}",
            "managementListenAddress": f"0.0.0.0:{ROOT_PORT}",
            "certificate": "/etc/pebble/ca.pem",
            "privateKey": "/etc/pebble/key.pem",
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "domainBlocklist": [REFUSED],
            "certificateValidityPeriod": 45 * 86_400,
        }
        setup = SETUP.format(address=host.address, dns=DNS_PORT, names=NAMES_PORT)
        self._ssh(setup, json.dumps({"pebble": config}))
        self.directory_url = f"https://{host.address}:{DIRECTORY_PORT}/dir"
        self.trust = folder / "pebble.pem"
        self.trust.write_text(self._ssh("cat /etc/pebble/ca.pem"))

    def start(self) -> None:
        """Start it, with a new root certificate."""
        self._ssh(START)
        self._answers(f"https://localhost:{DIRECTORY_PORT}/dir")

    def stop(self) -> None:
        self._ssh("systemctl stop pebble 2>/dev/null || true")

    def root(self) -> Path:
        """Return a file with the certificate that clients have to trust."""
        path = self.folder / "root.pem"
        path.write_text(self._answers(f"https://localhost:{ROOT_PORT}/roots/0"))
        return path

    def lead(self, name: str, *addresses: str) -> None:
        """Let a name lead to these addresses, as the authority sees it; to none, to nowhere."""
        names = f"http://127.0.0.1:{NAMES_PORT}"
        clear, add = json.dumps({"host": name}), json.dumps({"host": name, "addresses": addresses})
        self._answers(f"{names}/clear-a", clear)
        if addresses:
            self._answers(f"{names}/add-a", add)

    def _answers(self, url: str, text: str | None = None) -> str:
        post = f"--data '{text}'" if text else ""
        retry = "--retry 50 --retry-delay 0 --retry-all-errors --retry-max-time 20"
        return self._ssh(f"curl -sS -k --fail {retry} {post} {url}")

    def _ssh(self, command: str, text: str = "") -> str:
        host = self.host
        done = subprocess.run(
            [
                "ssh", "-i", host.key, "-o", f"UserKnownHostsFile={host.known_hosts}",
                "-o", "BatchMode=yes", f"root@{host.address}", command,
            ],
            input=text, capture_output=True, text=True, check=False, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout
