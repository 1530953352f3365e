"""Exit with 0 if the app answers through nginx, with the certificate verified."""

import http.client
import ssl
import sys

NAME = "bench.sandbox.test"

context = ssl.create_default_context(cafile="/etc/ws/tls/cert.pem")
context.check_hostname = False  # the connection is made to localhost
try:
    connection = http.client.HTTPSConnection("localhost", context=context, timeout=5)
    connection.request("GET", "/healthz", headers={"Host": NAME})
    sys.exit(connection.getresponse().status != http.HTTPStatus.OK)
except OSError:
    sys.exit(1)
