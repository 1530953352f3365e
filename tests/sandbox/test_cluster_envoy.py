"""A cluster with Envoy in front: an HTTPRoute and its policies do what they are written for.

Pods and Gateway are played by the stand-in of wsdeploy_sandbox/cluster, Envoy is the real one.
"""

import contextlib
import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wsdeploy_sandbox as sandbox
from tests.sandbox import cluster_site
from tests.sandbox.cluster_site import NAMESPACE, ClusterSite
from tests.sandbox.test_cluster import BAD, reaches
from wsdeploy.checks.client import Client
from wsdeploy_sandbox.cluster import host

HELD = 100
RATE = 50
NAME = "envoy1"
GATEWAY = "public"


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterSite]:
    if not request.config.getoption("--matrix"):
        pytest.skip("only with --matrix: HAProxy's way in is tested always")
    sandbox.down(NAME)
    site = cluster_site.make(host.up(NAME), tmp_path_factory.mktemp(NAME))
    site.write(edge="Edge()", kubernetes_way_in=f'HTTPRoute("{GATEWAY}", policies="envoy")')
    yield site
    if not os.environ.get("KEEP_SANDBOX"):
        sandbox.down(NAME)


@contextlib.contextmanager
def clients(site: ClusterSite, number: int) -> Iterator[list[Client]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(site.client()) for _ in range(number)]


STATS = """
import urllib.request
address = "http://127.0.0.1:19000/stats?filter=listener_manager.listener_"
print(urllib.request.urlopen(address, timeout=60).read().decode())
"""


def listeners(site: ClusterSite) -> dict[str, int]:
    """Return how often Envoy's listeners have been made and changed."""
    said = site.ssh("python3 -", text=STATS)
    return {name: int(n) for name, _, n in (it.partition(": ") for it in said.split("\n") if it)}


def conditions(value: dict[str, Any]) -> dict[str, str]:
    return {it["type"]: it["status"] for it in value["conditions"]}


def test_deploy(site: ClusterSite) -> None:
    site.release()
    site.echoes()


def test_the_gateway_has_accepted_all_that_is_written(site: ClusterSite) -> None:
    (gateway,) = site.objects("gateways")
    attached = {it["name"]: it["attachedRoutes"] for it in gateway["status"]["listeners"]}
    assert attached == {"http": 1, "https": 1}
    routes = site.objects("httproutes")
    assert [it["metadata"]["name"] for it in routes] == ["ws", "ws-redirect"]
    for route in routes:
        (parent,) = route["status"]["parents"]
        assert conditions(parent) == {"Accepted": "True", "ResolvedRefs": "True"}
    for kind in ("backendtrafficpolicies", "clienttrafficpolicies"):
        (policy,) = site.objects(kind)
        (ancestor,) = policy["status"]["ancestors"]
        assert conditions(ancestor) == {"Accepted": "True"}


def test_a_second_run_changes_nothing(site: ClusterSite) -> None:
    site.converged()


def test_plain_http_is_sent_to_https(site: ClusterSite) -> None:
    connection = http.client.HTTPConnection(site.host.domain, timeout=60)
    connection.request("GET", "/rooms/1")
    answer = connection.getresponse()
    place = f"https://{site.host.domain}/rooms/1"
    assert (answer.status, answer.headers["Location"]) == (301, place)
    connection.close()


def test_a_new_release_refuses_nobody(site: ClusterSite) -> None:
    app = site.settings["app"]
    with site.under_load(RATE, HELD, returning=True) as outcome:
        site.release(app=app.replace("drain", 'env={"COLOUR": "blue"}, drain'))
    assert outcome["failed"] == {}
    assert outcome["codes"] == {"1012": HELD}
    site.echoes()


def test_more_pods_take_nobody_and_get_new_clients(site: ClusterSite) -> None:
    before = listeners(site)
    with site.under_load(RATE, HELD) as outcome:
        # Limits follow the number of pods, and Envoy's cluster with them.
        site.deploy(kubernetes_replicas="3")
        new = max(site.pods(), key=lambda pod: pod["status"]["startTime"])["metadata"]["name"]

        def is_known() -> bool:
            with site.client():
                return site.connections()[new] > 0

        site.until(is_known)
    assert (outcome["failed"], outcome["codes"]) == ({}, {})
    assert listeners(site) == before


def test_fewer_pods_refuse_nobody_though_most_of_them_end(site: ClusterSite) -> None:
    # With less than half of its pods healthy, Envoy sends clients to all of them.
    with site.under_load(RATE, HELD, returning=True) as outcome:
        site.release(kubernetes_replicas="1")
    assert outcome["failed"] == {}
    assert {*outcome["codes"]} == {"1012"}
    site.release(kubernetes_replicas="2")


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_release_takes_nobody(site: ClusterSite, copy: Path, kind: str) -> None:
    (copy / "files" / "app.py").write_text(BAD[kind])
    app = site.settings["app"]
    with site.under_load(RATE, HELD) as outcome:
        site.write(app=app.replace("drain", "start_timeout=8, drain"))
        result = site.pyinfra()
        site.write(app=app)
        site.until(lambda: not site.ending())
    assert result.code == 1, result.output
    assert outcome["failed"] == {}
    assert outcome["codes"] == {}


def test_a_route_that_the_gateway_does_not_take_fails_the_run(site: ClusterSite) -> None:
    ours = site.kubernetes["way_in"]
    site.write(kubernetes_way_in=ours.replace("policies", 'listener="other", policies'))
    refused = site.pyinfra()
    assert refused.code == 1, refused.output
    assert f"Gateway {GATEWAY} does not take the HTTPRoute: NoMatchingParent" in refused.output
    # The run has put the route back.
    site.until(lambda: reaches(site))
    site.write(kubernetes_way_in=ours)
    site.converged()


def test_a_renewed_certificate_disconnects_nobody(site: ClusterSite) -> None:
    before = site.cluster.certificate()
    old = Path(before.certificate).read_text()
    with clients(site, 10) as held:
        for path in (before.certificate, before.key):
            Path(path).unlink()
        secret = host.tls_secret(NAMESPACE, f"{GATEWAY}-tls", site.cluster.certificate())
        file = site.folder / "secret.json"
        file.write_text(json.dumps(secret))
        site.kubectl("replace", "-f", str(file))
        site.until(lambda: served(site) not in ("", old))
        site.echoes()
        for client in held:
            client.send("still here")
            assert client.recv(60) == "still here"


def served(site: ClusterSite) -> str:
    """Return the certificate that Envoy shows, or nothing."""
    with contextlib.suppress(OSError):
        return ssl.get_server_certificate((site.host.domain, 443), timeout=60)
    return ""


def test_slow_requests_are_ended(site: ClusterSite) -> None:
    context = ssl.create_default_context(cafile=site.fetch_certificate())
    with (
        socket.create_connection((site.host.domain, 443), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=site.host.domain) as slow,
    ):
        slow.sendall(f"GET / HTTP/1.1\r\nHost: {site.host.domain}\r\n".encode())
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
