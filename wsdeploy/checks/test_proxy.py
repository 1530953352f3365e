"""Proxy hosts, seen from outside: TLS, refusals, redirects, and live WebSockets."""

import asyncio
import contextlib
import datetime
import http.client
import socket
import ssl
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host
from websockets.asyncio.client import connect as asyncio_connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from wsdeploy.checks import programs
from wsdeploy.checks.client import Client, connect
from wsdeploy.plan.host import paths
from wsdeploy.plan.proxy import acme, edge
from wsdeploy.settings import Settings, secret_values
from wsdeploy.settings.edge import matches

Dial = Callable[[int], socket.socket]


def client(settings: Settings, dial: Dial, tls: ssl.SSLContext, **options: Any) -> Client:
    """Open a WebSocket through the proxy, verifying its certificate."""
    options.setdefault("origin", settings.edge.some_origin())
    return connect(address(settings), sock=dial(443), ssl=tls, **options)


def address(settings: Settings) -> str:
    return f"wss://{settings.domain}{settings.app.probe.path}"


def get(
    settings: Settings,
    dial: Dial,
    path: str,
    *,
    host: str | None = None,
    tls: ssl.SSLContext | None = None,
    method: str = "GET",
) -> http.client.HTTPResponse:
    """Return the answer to a plain request, over TLS if a context is given."""
    sock = dial(443 if tls else 80)
    if tls:
        sock = tls.wrap_socket(sock, server_hostname=settings.domain)
    connection = http.client.HTTPConnection(settings.domain)
    connection.sock = sock
    connection.request(method, path, headers={"Host": host or settings.domain})
    return connection.getresponse()


@pytest.fixture
def program(settings: Settings) -> programs.Program:
    return programs.chosen(settings)


def logged(proxy_host: Host, settings: Settings, path: str) -> str:
    """Return what proxy and app have logged, once there is a line on a request for `path`."""
    deadline = time.monotonic() + 10
    while True:
        text: str = proxy_host.run(programs.logs(settings)).stdout
        if not settings.proxy.access_log or f'"{path}"' in text:
            return text
        assert time.monotonic() < deadline, f"nothing is logged on {path}"


def test_proxy_runs_and_starts_at_boot(proxy_host: Host, program: programs.Program) -> None:
    service = proxy_host.service(program.service)
    assert service.is_running
    assert service.is_enabled


def test_configuration_is_valid_without_warnings(
    proxy_host: Host, program: programs.Program
) -> None:
    check = proxy_host.run(program.check)
    assert (check.rc, check.stdout + check.stderr) == (0, "")


def test_handshake_ping_message_and_clean_close(
    settings: Settings, dial: Dial, tls: ssl.SSLContext
) -> None:
    probe = settings.app.probe
    with client(settings, dial, tls) as websocket:
        websocket.ping()
        if (message := secret_values.message(settings.app)) is not None:
            websocket.send(message)
        if probe.expect is not None:
            assert probe.expect in websocket.recv(10)
    assert websocket.close_code == 1000


def test_many_clients_at_once(settings: Settings, dial: Dial, tls: ssl.SSLContext) -> None:
    """More than the 383 per worker that Debian's own nginx.conf would hold on two processors."""
    wanted = 800
    if min(settings.max_connections, edge.connections(settings), edge.at_once(settings)) < wanted:
        pytest.skip("the settings allow one address less")

    origin = settings.edge.some_origin()

    async def hold() -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    asyncio_connect(
                        address(settings),
                        sock=dial(443),
                        ssl=tls,
                        proxy=None,
                        origin=Origin(origin) if origin else None,
                    )
                )
                for _ in range(wanted)
            ]
            pongs = [await websocket.ping() for websocket in clients]
            await asyncio.wait_for(asyncio.gather(*pongs), 30)

    asyncio.run(hold())


def test_health_check_over_tls(settings: Settings, dial: Dial, tls: ssl.SSLContext) -> None:
    assert get(settings, dial, "/healthz", tls=tls).status == 200


def test_health_check_by_address(settings: Settings, dial: Dial, proxy_host: Host) -> None:
    """An outer load balancer asks without TLS and by address."""
    answer = get(settings, dial, "/healthz", host=proxy_host.inventory.address)
    assert answer.status == 200


def test_plain_http_is_redirected(settings: Settings, dial: Dial) -> None:
    answer = get(settings, dial, "/chat?room=1")
    assert answer.status == 308
    assert answer.getheader("Location") == f"https://{settings.domain}/chat?room=1"


def test_unknown_name_gets_no_certificate(dial: Dial, tls: ssl.SSLContext) -> None:
    with (
        pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"),
        tls.wrap_socket(dial(443), server_hostname="other.test"),
    ):
        pass


def test_unknown_host_header_is_refused(
    settings: Settings, dial: Dial, tls: ssl.SSLContext
) -> None:
    assert get(settings, dial, "/", host="other.test", tls=tls).status == 421


def test_unknown_name_on_port_80_is_dropped(settings: Settings, dial: Dial) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        get(settings, dial, "/", host="other.test")


def test_a_request_that_is_no_handshake_is_not_passed_on(
    settings: Settings, dial: Dial, tls: ssl.SSLContext
) -> None:
    if any(matches(pattern, "/plain-request") for pattern in settings.edge.plain_paths):
        pytest.skip("the app takes plain requests there")
    assert get(settings, dial, "/plain-request", tls=tls).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(
    settings: Settings, dial: Dial, tls: ssl.SSLContext, method: str
) -> None:
    answer = get(settings, dial, settings.app.probe.path, tls=tls, method=method)
    assert answer.status == 405
    assert answer.getheader("Allow") == "GET, HEAD"


def test_browsers_are_told_to_stay_with_tls(
    settings: Settings, dial: Dial, tls: ssl.SSLContext
) -> None:
    wanted = edge.hsts(settings)
    assert get(settings, dial, "/healthz", tls=tls).getheader("Strict-Transport-Security") == wanted


def test_foreign_pages_are_refused(settings: Settings, dial: Dial, tls: ssl.SSLContext) -> None:
    if not settings.edge.origins:
        pytest.skip("all may connect")
    with pytest.raises(InvalidStatus) as refused:
        client(settings, dial, tls, origin="https://foreign.test")
    assert refused.value.response.status_code == 403


def test_metrics_are_private(settings: Settings, dial: Dial, tls: ssl.SSLContext) -> None:
    assert get(settings, dial, "/metrics", tls=tls).status == 404


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # that is what it is about
def test_old_tls_is_refused(settings: Settings, dial: Dial, tls: ssl.SSLContext) -> None:
    tls.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        pytest.raises((ssl.SSLError, ConnectionResetError)),
        tls.wrap_socket(dial(443), server_hostname=settings.domain),
    ):
        pass


def test_certificate_is_ecdsa_and_lasts(
    settings: Settings, dial: Dial, tls: ssl.SSLContext
) -> None:
    with tls.wrap_socket(dial(443), server_hostname=settings.domain) as connection:
        certificate: dict[str, Any] | None = connection.getpeercert()
    assert certificate is not None
    ends = ssl.cert_time_to_seconds(certificate["notAfter"])
    left = datetime.datetime.fromtimestamp(ends, datetime.UTC) - datetime.datetime.now(datetime.UTC)
    assert left > datetime.timedelta(days=1)
    assert ("DNS", settings.domain) in certificate["subjectAltName"]


def test_renewal_is_on_and_has_not_failed(proxy_host: Host, settings: Settings) -> None:
    if not acme.wanted(settings):
        pytest.skip("the certificate is not from an authority")
    assert proxy_host.service(acme.timer(settings)).is_running
    state = f"systemctl show --property=Result --value {acme.service(settings)}"
    assert proxy_host.check_output(state) == "success"


def test_key_is_for_root_only(proxy_host: Host, settings: Settings) -> None:
    key = proxy_host.file(paths.key(settings.name))
    assert (key.user, key.mode) == ("root", 0o600)


def test_served_certificate_is_the_one_on_disk(
    proxy_host: Host, settings: Settings, dial: Dial, tls: ssl.SSLContext
) -> None:
    with tls.wrap_socket(dial(443), server_hostname=settings.domain) as connection:
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    served = ssl.DER_cert_to_PEM_cert(shown)
    on_disk = proxy_host.file(paths.certificate(settings.name)).content_string
    assert served.strip() == on_disk[: on_disk.index("-----END")].strip() + served[
        served.index("\n-----END") :
    ].rstrip("\n")


def test_forged_client_address_is_not_believed(
    proxy_host: Host, settings: Settings, dial: Dial, tls: ssl.SSLContext
) -> None:
    """What a client says of itself in X-Forwarded-For must not reach the app as its address."""
    forged = "203.0.113.77"
    headers = {"X-Forwarded-For": forged, "X-Real-IP": forged, "Forwarded": f"for={forged}"}
    with client(settings, dial, tls, additional_headers=headers) as websocket:
        websocket.ping()
    # Logs are in order: with this line, that of the WebSocket is there too.
    end = f"/forged-{uuid.uuid4()}"
    get(settings, dial, end, tls=tls)
    assert forged not in logged(proxy_host, settings, end)


def test_log_has_no_query_string(
    proxy_host: Host, settings: Settings, dial: Dial, tls: ssl.SSLContext
) -> None:
    secret = f"token-{socket.gethostname()}-8d1f"
    get(settings, dial, f"/healthz-log?token={secret}", tls=tls)
    assert secret not in logged(proxy_host, settings, "/healthz-log")


def test_workers_may_open_enough_files(
    proxy_host: Host, settings: Settings, program: programs.Program
) -> None:
    ceiling = int(proxy_host.check_output("awk '/Max open files/ {print $5}' /proc/1/limits"))
    for worker in proxy_host.check_output(program.workers).split():
        limits = proxy_host.run("cat /proc/%s/limits", worker).stdout
        if "Max open files" in limits:
            soft = int(limits.split("Max open files")[1].split()[0])
            # HAProxy asks for exactly what its connections need.
            assert soft >= min(2 * settings.max_connections, 0.95 * ceiling)
