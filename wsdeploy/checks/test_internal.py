"""TLS between the tiers: who gets in, and for how long the certificates are good."""

import datetime

import pytest
from testinfra.host import Host

from wsdeploy.plan.app import upstreams
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import haproxy, host_keypairs, internal
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

# Run on a host: connects to an address and port, over TLS if told so, with the certificate and
# those to trust in these files; asks for a path, and prints the first line of the answer.
ASK = """
import socket, ssl, sys
name, scheme, address, port, path, pair, trust = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if trust:
    context.verify_mode, context.check_hostname = ssl.CERT_REQUIRED, True
    context.load_verify_locations(trust)
if pair:
    context.load_cert_chain(pair)
try:
    with socket.create_connection((address, int(port)), timeout=5) as connection:
        if scheme == "https":
            connection = context.wrap_socket(connection, server_hostname=name)
        connection.sendall(f"GET {path} HTTP/1.1\\r\\nHost: {name}\\r\\n\\r\\n".encode())
        answer = connection.recv(1000).decode("ascii", "replace")
        print(answer.splitlines()[0] if answer else "nothing")
except (ssl.SSLError, ConnectionError) as error:
    print("refused:", error)
"""


@pytest.fixture(autouse=True)
def encrypted(settings: Settings) -> None:
    if not settings.internal_tls:
        pytest.skip("there is no TLS between the tiers")


def ask(
    host: Host,
    settings: Settings,
    where: str,
    port: int,
    *,
    scheme: str = "https",
    pair: str = "",
    trust: str = "",
) -> str:
    path = settings.app.health or "/"
    words = (host_keypairs.name(settings), scheme, where, str(port), path, pair, trust)
    answer: str = host.check_output(f"python3 -c %s{' %s' * len(words)}", ASK, *words)
    return answer


def test_it_runs_and_starts_at_boot(app_host: Host, settings: Settings) -> None:
    service = app_host.service(internal.unit(settings))
    assert service.is_running
    assert service.is_enabled


def test_configuration_is_valid_without_warnings(app_host: Host, settings: Settings) -> None:
    command = " ".join((*internal.program(settings).check, internal.configuration(settings)))
    check = app_host.run(command)
    assert (check.rc, check.stdout + check.stderr) == (0, "")


def test_it_is_only_what_it_is_for(app_host: Host, settings: Settings) -> None:
    """Debian's unit of the same program is not started at the next boot, unless it is the proxy."""
    debians = app_host.service(internal.program(settings).debians_unit)
    assert debians.is_running or not debians.is_enabled


def test_every_process_is_reached_by_those_who_are_trusted_only(
    app_host: Host, settings: Settings, count: int
) -> None:
    """Asked on the host itself, which trusts itself; others are kept out by the firewall anyway."""
    where = settings.topology.listen_address(app_host.inventory.name)
    own, trust = paths.host_keypair(settings.name), internal.trust(settings)
    for port in upstreams.reached(settings, count):
        answer = ask(app_host, settings, where, port, pair=own, trust=trust)
        assert answer.startswith("HTTP/1.1 200" if settings.app.health else "HTTP/1.1")
        for scheme in ("http", "https"):
            answer = ask(app_host, settings, where, port, scheme=scheme)
            # nginx says 400 to those who don't speak TLS.
            refused = answer == "nothing" or answer.startswith(("refused", "HTTP/1.1 400"))
            assert refused, f"{scheme} without a certificate: {answer}"


def test_every_proxy_trusts_every_app_host(
    proxy_host: Host, settings: Settings, survey: Survey
) -> None:
    configuration = {"nginx": paths.NGINX_CONF, "haproxy": haproxy.CONFIGURATION}
    folder = configuration[internal.program(settings).folder].rpartition("/")[0]
    own, trust = paths.host_keypair(settings.name), host_keypairs.app_hosts(settings, folder)
    for upstream in upstreams.upstreams(Target(settings, proxy_host.inventory.name, survey)):
        answer = ask(proxy_host, settings, upstream.address, upstream.port, pair=own, trust=trust)
        assert answer.startswith("HTTP/1.1"), upstream.name


@pytest.mark.parametrize("spare", [False, True])
def test_certificates_last_for_years(any_host: Host, settings: Settings, spare: bool) -> None:
    pair = paths.host_keypair(settings.name, spare)
    ends = any_host.check_output(f"openssl x509 -in {pair} -noout -enddate -dateopt iso_8601")
    end = datetime.datetime.fromisoformat(ends.partition("=")[2].strip().replace(" ", "T"))
    left = end - datetime.datetime.now(datetime.UTC)
    # A deployment changes to the spare one long before.
    assert left > datetime.timedelta(days=365), "deploy, and it is renewed"


@pytest.mark.parametrize("spare", [False, True])
def test_keys_are_for_root_only(any_host: Host, settings: Settings, spare: bool) -> None:
    pair = any_host.file(paths.host_keypair(settings.name, spare))
    assert (pair.user, pair.group, pair.mode) == ("root", "root", 0o600)
