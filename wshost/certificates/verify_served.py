"""See whether the proxy on this host shows the certificate that is on disk.

    python3 -c TEXT served DOMAIN FILE UNIT [PORT]

Needs nothing but itself: it is one of the commands that a set of files ends with. A proxy that
does not run shows nothing, and will read the file when it starts. One that does not know the name
yet shows nothing either; it is about to be told.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

WITHIN = 10
"""Seconds that the proxy has."""
UNKNOWN = "TLSV1_UNRECOGNIZED_NAME"
"""What OpenSSL says when a proxy does not know a name, and shows no certificate for it."""


def shown(domain: str, port: int) -> bytes:
    """Return the certificate that is shown for a name, in DER. Raises OSError if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Which one it is shows in the comparison; whether clients trust it is not the question.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("localhost", port), timeout=2) as connection,
        context.wrap_socket(connection, server_hostname=domain) as tls,
    ):
        return tls.getpeercert(binary_form=True) or b""


def first(file: Path) -> bytes:
    """Return the first certificate of a file in PEM, in DER."""
    text, end, _ = file.read_text().partition("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN") :] + end)


def main(domain: str, file: str, unit: str, port: str = "443") -> None:
    """Exit 1 and say so if the proxy still shows another certificate after some time."""
    if subprocess.run(("systemctl", "is-active", "--quiet", unit), check=False).returncode:
        return
    wanted, end = first(Path(file)), time.monotonic() + WITHIN
    problem = ""
    while time.monotonic() < end:
        with contextlib.suppress(ConnectionError):
            try:
                if shown(domain, int(port)) == wanted:
                    return
                problem = "it shows another one"
            except OSError as error:
                if isinstance(error, ssl.SSLError) and error.reason == UNKNOWN:
                    # Its configuration is for other names yet.
                    return
                problem = str(error)
        time.sleep(0.1)
    sys.exit(f"{unit} does not use the certificate in {file}: {problem}")


if __name__ == "__main__":
    main(*sys.argv[2:])
