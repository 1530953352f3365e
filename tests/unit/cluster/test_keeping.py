"""What a cluster can't keep of the settings is said before anything happens."""

import dataclasses
from typing import Any

import pytest

from tests.unit.cluster.conftest import HAPROXY, IMAGE, WAYS
from wsdeploy import (
    Acme,
    App,
    Behind,
    CertFiles,
    Edge,
    Firewall,
    FromEnv,
    HAProxy,
    HTTPRoute,
    Image,
    Ingress,
    Kubernetes,
    LoadBalancer,
    Nginx,
    Probe,
    Replicas,
    SelfSigned,
    Settings,
    SettingsError,
    pods,
)
from wsdeploy.cluster import keeping
from wsdeploy.settings.cluster import BY_DIGEST_WORDS
from wsdeploy.settings.section import Section

ACME = Acme("ops@a-company.com")


def lines(settings: Settings, kubernetes: Kubernetes) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        pods(settings, kubernetes)
    return [str(problem) for problem in raised.value.problems]


def service(**changes: Any) -> Settings:
    given: dict[str, Any] = {"app": App("app.py"), "tls": ACME} | changes
    return Settings("ws.a-company.com", **given)


def fields(section: type[Section], place: str = "") -> set[str]:
    return {f"{place}{field.name}" for field in dataclasses.fields(section)}  # type: ignore[arg-type]


def test_no_setting_is_forgotten() -> None:
    found = fields(Settings) - {"app", "tls", "edge"}
    found |= fields(App, "app.") - {"app.probe"} | fields(Probe, "app.probe.")
    found |= fields(Edge, "edge.") | fields(Behind, "edge.behind.")
    found |= fields(Firewall, "firewall.") | fields(HAProxy, "proxy.") | fields(Nginx, "proxy.")
    shared = fields(Acme) & fields(CertFiles) & fields(SelfSigned)
    found |= {f"tls.{name}" for name in shared}
    for kind in (Acme, CertFiles, SelfSigned):
        found |= {f"tls.{kind.__name__}.{name}" for name in fields(kind) - shared}
    assert found == set(keeping.ROWS)


OTHER: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    (
        {"tls": SelfSigned()},
        {},
        [
            "tls: SelfSigned(...) given; nobody makes it in a cluster; give CertFiles(...), or "
            "Acme(...) with an issuer"
        ],
    ),
    (
        {},
        {"way_in": Ingress()},
        [
            "kubernetes.way_in.issuer: missing; with Acme, cert-manager gets the certificate: "
            "give its ClusterIssuer"
        ],
    ),
    (
        {"tls": CertFiles("a.pem", "b.pem")},
        {"way_in": Ingress(issuer="a")},
        [
            "kubernetes.way_in.issuer: 'a' given; with CertFiles, the certificate is yours; leave "
            "it out, or give Acme(...)"
        ],
    ),
    (
        {"firewall": Firewall(allow=("tcp/1", "vrrp"))},
        {},
        ["firewall.allow: 'vrrp' given; a NetworkPolicy has ports only; leave it out"],
    ),
    (
        {"name": "ws-"},
        {},
        ["name: 'ws-' given; in a cluster, its end is a letter or a digit"],
    ),
    (
        {"edge": Edge(paths=("/*", "/room*"))},
        {},
        ["edge.paths: '/room*' given; a route's paths end between two /; write a / before the *"],
    ),
    (
        {"edge": Edge(handshakes_per_second=5)},
        {"way_in": Ingress("nginx", issuer="a")},
        ['edge.handshakes_per_second: it is kept with class_name="haproxy" only; leave it out'],
    ),
    (
        {"tls": Acme("ops@a-company.com", hsts=5)},
        {"way_in": Ingress("traefik", issuer="a")},
        ['tls.hsts: it is kept with class_name="haproxy" only; leave it out'],
    ),
    (
        {"tls": Acme("ops@a-company.com", hsts=0)},
        {"way_in": Ingress("traefik", issuer="a"), "namespace": "A"},
        ["kubernetes.namespace: 'A' given; "],
    ),
    (
        {},
        {"mesh": "istio", "way_in": WAYS["haproxy"]},
        [
            "kubernetes.mesh: 'istio' given; HAProxy's own pods are outside of it, so what "
            "they pass on would be plain; leave mesh out, or give way_in=Ingress(...) or "
            "HTTPRoute(...) with proxies in the mesh"
        ],
    ),
    (
        {
            "edge": Edge(paths=["/", *(f"/{n}" for n in range(31))]),
            "tls": Acme("ops@a-company.com", names=[f"www{n}.a-company.com" for n in range(16)]),
        },
        {"way_in": WAYS["route"]},
        [
            "edge.paths: 32 paths given, with plain_paths; a route has 31 at most; give fewer, "
            "such as one with a *",
            "tls.names: 17 names given, with the domain; a route has 16 at most; give fewer",
        ],
    ),
    (
        {"edge": Edge(behind=Behind(("10.0.0.0/8",), "x-forwarded-for", direct=True))},
        {},
        [
            "edge.behind: Behind(...) given; set proxy-protocol or src-ip-header in the "
            "controller's ConfigMap instead"
        ],
    ),
    (
        {"app": App("app.py", command=["chat", "--unix=${WS_SOCKET}"])},
        {},
        [
            "app.command: '--unix=${WS_SOCKET}' given; a pod listens on $WS_HOST and $WS_PORT; "
            "give those"
        ],
    ),
    (
        {"app": App("app.py", drain=1800)},
        {"replicas": Replicas()},
        [
            "app.drain: 1800 given; with pods that follow the load, one takes 1,800 seconds to end "
            "at most; give 28 less"
        ],
    ),
    (
        {},
        {"existing_secret": "vault"},
        [
            "kubernetes.existing_secret: 'vault' given; app.secrets names nothing in it; name its "
            "variables there, or leave it out"
        ],
    ),
    (
        {},
        {"reached_at": "10.0.0.7:99999"},
        [
            "kubernetes.reached_at: '10.0.0.7:99999' given; "
            'give "HOST" or "HOST:PORT", with a port from 1 to 65535'
        ],
    ),
    (
        {},
        {"image": Image("registry.a-company.com/chat", rootfs="base.tar")},
        ["kubernetes.image.rootfs: 'base.tar' given; no such file in "],
    ),
    (
        {},
        {"image": Image("registry.a-company.com/chat", rootfs="app.py")},
        ["kubernetes.image.rootfs: 'app.py' given; give a tar archive that is not compressed"],
    ),
    (
        {"app": App("no.py")},
        {"pre_stop": 0, "namespace": "A"},
        [
            "kubernetes.pre_stop: 0 given; give a whole number of seconds from 1 to 300",
            "kubernetes.namespace: 'A' given; give lower-case letters, digits and hyphens, at most "
            "63",
            "app.path: 'no.py' given; no such file in ",
        ],
    ),
]


@pytest.mark.parametrize(("settings", "kubernetes", "expected"), OTHER, ids=lambda _: "")
def test_mistakes(
    settings: dict[str, Any], kubernetes: dict[str, Any], expected: list[str]
) -> None:
    good: dict[str, Any] = {"namespace": "chat", "image": IMAGE, "way_in": WAYS["ingress"]}
    found = lines(service(**settings), Kubernetes(**good | kubernetes))
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start)


def test_what_is_missing_is_named() -> None:
    assert [line.partition(":")[0] for line in lines(service(), Kubernetes())] == [  # type: ignore[call-arg]
        "kubernetes.namespace", "kubernetes.image", "kubernetes.way_in",
    ]  # fmt: skip


def test_what_is_good_with_our_own_haproxy_is_kept_whole() -> None:
    settings = service(
        edge=Edge(
            paths=("/room*", "/"),
            connections=50,
            header_size=1024,
            behind=Behind(("10.0.0.0/8",), "proxy-protocol"),
        ),
        proxy=HAProxy(shutdown_timeout=600, access_log=False),
        app=App("app.py", listen="tcp", processes=1),
    )
    machines, data = pods(settings, Kubernetes("chat", IMAGE, LoadBalancer(HAPROXY, issuer="a")))
    assert machines == ["@local"]
    assert data["cluster"].notes() == ["tls.email: the issuer of cert-manager has its own account"]


def test_what_does_less_is_said() -> None:
    settings = service(
        app=App("app.py", env={"A": "b"}, health=None, probe=Probe(send="hello")),
    )
    assert [*keeping.notes(settings, Kubernetes("chat", IMAGE, WAYS["route"]))] == [
        "app.env: whoever sees ConfigMaps sees it",
        "tls.email: the Gateway's listener has its own certificate",
        "app.hang_timeout: without app.health, nothing tells that a pod hangs",
    ]


@pytest.mark.parametrize(
    ("way_in", "expected"),
    [
        (
            Ingress("nginx", issuer="a"),
            [
                "kubernetes.way_in.class_name: nginx is told nothing of how to balance, of limits "
                "by address and of Strict-Transport-Security; give its own annotations"
            ],
        ),
        (Ingress(issuer="a"), []),
        (
            HTTPRoute("public"),
            [
                "kubernetes.way_in.policies: without them, the Gateway balances, limits and waits "
                "for silent connections by its own defaults"
            ],
        ),
        (HTTPRoute("public", policies="haproxy", gateway_namespace="edge"), []),
        (
            HTTPRoute("public", policies="envoy", gateway_namespace="edge"),
            [
                "kubernetes.way_in.gateway_namespace: slow clients are for the owner of public to "
                "limit: requestReceivedTimeout of ClientTrafficPolicy"
            ],
        ),
    ],
    ids=lambda _: "",
)
def test_what_a_way_in_is_not_told_is_said(
    way_in: Ingress | HTTPRoute, expected: list[str]
) -> None:
    found = keeping.notes(service(), Kubernetes("chat", IMAGE, way_in))
    assert [line for line in found if line.startswith("kubernetes.")] == expected


def test_secrets_are_read_here_unless_the_cluster_has_them() -> None:
    settings = service(app=App("app.py", secrets={"KEY": FromEnv("WSDEPLOY_TEST_NO_SUCH")}))
    (line,) = lines(settings, Kubernetes("chat", IMAGE, WAYS["ingress"]))
    assert line.startswith("app.secrets.KEY: $WSDEPLOY_TEST_NO_SUCH is not set")
    pods(settings, Kubernetes("chat", IMAGE, WAYS["ingress"], existing_secret="vault"))


SECTIONS: list[tuple[Section, list[str]]] = [
    (
        Image("registry.example.com/chat", base="debian:13"),
        [
            "repository: 'registry.example.com/chat' given; that is a placeholder; give your own",
            "base: 'debian:13' given; give it by digest, such as docker.io/library/debian@sha256:…",
        ],
    ),
    (
        Image("chat/server", rootfs="a.tar"),
        [
            "repository: 'chat/server' given; that means Docker Hub's; name the registry, as in "
            "registry.your-company.com/chat or docker.io/you/chat, or give registry=None"
        ],
    ),
    (Image("chat", rootfs="a.tar", registry=None), []),
    (Image("localhost/chat", rootfs="a.tar"), []),
    (Image("registry:5000/chat", rootfs="a.tar"), []),
    (Image("a-company.com/chat"), ["base: missing; give base or rootfs"]),
    (
        Image("a-company.com/chat", base=f"debian@sha256:{'a' * 64}", rootfs="a.tar"),
        ["base: rootfs is given, too; leave out one of the two"],
    ),
    (
        Image("https://a-company.com/chat", rootfs="a.tar"),
        [
            "repository: 'https://a-company.com/chat' given; give a repository without https:// "
            "and without a tag, such as registry.your-company.com/chat"
        ],
    ),
    (
        Image("a-company.com/chat:1", rootfs="a.tar", python="3", interpreter="python3"),
        [
            "repository: 'a-company.com/chat:1' given; give a repository without https:// and "
            "without a tag, such as registry.your-company.com/chat",
            "python: '3' given; give a version such as \"3.13\"",
            "interpreter: 'python3' given; give an absolute path",
        ],
    ),
    (
        HTTPRoute("a_b", gateway_namespace="a.b"),
        [
            "gateway: 'a_b' given; give lower-case letters, digits, hyphens and dots",
            "gateway_namespace: 'a.b' given; give lower-case letters, digits and hyphens, at most "
            "63",
        ],
    ),
    (
        LoadBalancer("haproxy:3.0"),
        [f"image: 'haproxy:3.0' given; {BY_DIGEST_WORDS}"],
    ),
]


@pytest.mark.parametrize(("section", "expected"), SECTIONS, ids=lambda _: "")
def test_mistakes_of_sections(section: Section, expected: list[str]) -> None:
    assert [str(problem) for problem in section.all_problems()] == expected
