"""What is let through, in the patterns that both proxies get, and the numbers they count to."""

import re
from typing import Any, Literal

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsapp.origins import parse_origins
from wsdeploy import Behind, Edge, HAProxy, Nginx, SelfSigned
from wsdeploy.plan.proxy import edge, haproxy, nginx_conf, proxies
from wsdeploy.plan.target import Target
from wsdeploy.settings.edge import matches

ORIGINS = (
    "https://a-company.com",
    "https://*.a-company.com",
    "http://localhost:*",
    "null",
    "file://",
)
SEEN = (
    *("https://a-company.com", "https://b.a-company.com", "https://b.c.a-company.com", "null"),
    *("https://a-company.com.evil.com", "https://evil.com/.a-company.com", "https://aXcompany.com"),
    *(
        "file://",
        "file:///etc",
        "http://localhost:3000",
        "http://localhost",
        "https://a-company.com\n",
        "https://.a-company.com",
    ),
)
PATHS = ("/", "/chat", "/rooms/*", "/a.b+c")
ASKED = (
    "/",
    "/chat",
    "/chat/",
    "/chat2",
    "/rooms",
    "/rooms/",
    "/rooms/1/2",
    "/aXb+c",
    "/a.b+c",
    "",
)


def text(
    make: MakeSettings, debian: MakeSurvey, proxy: type[HAProxy | Nginx], **settings: Any
) -> str:
    made = make(proxy=proxy(), **settings)
    return proxies.chosen(made).files(Target(made, "one", debian("13"))).files[0].content


def in_python(pattern: str) -> re.Pattern[str]:
    """PCRE's end of the text is spelled differently before Python 3.14."""
    return re.compile(pattern.replace(r"\z", r"\Z"))


def test_origins_are_those_that_wsapp_would_let_in(make: MakeSettings) -> None:
    patterns = edge.origin_patterns(make(edge=Edge(origins=ORIGINS)))
    known = parse_origins(",".join(ORIGINS))
    for origin in SEEN:
        ours = any(in_python(pattern).search(origin) for pattern in patterns)
        theirs = any(o == origin if isinstance(o, str) else o.fullmatch(origin) for o in known)
        assert ours == theirs, origin


def test_paths_are_those_that_the_settings_mean() -> None:
    patterns = edge.path_patterns(PATHS)
    for path in ASKED:
        ours = any(in_python(pattern).search(path) for pattern in patterns)
        assert ours == any(matches(pattern, path) for pattern in PATHS), path


@pytest.mark.parametrize("proxy", [Nginx, HAProxy])
def test_defaults_ask_for_nothing_that_clients_lack(
    make: MakeSettings, debian: MakeSurvey, proxy: type[HAProxy | Nginx]
) -> None:
    found = text(make, debian, proxy)
    assert " 403" not in found
    assert "real_ip" not in found
    assert "expect-proxy" not in found
    assert "set-src" not in found


@pytest.mark.parametrize("proxy", [Nginx, HAProxy])
def test_nothing_is_answered_with_429(
    make: MakeSettings, debian: MakeSurvey, proxy: type[HAProxy | Nginx]
) -> None:
    limits = Edge(connections=5, handshakes_per_second=7)
    assert "429" not in text(make, debian, proxy, edge=limits).replace("on 429.", "")


@pytest.mark.parametrize(
    ("proxy", "parts"),
    [
        (Nginx, ("rate=200r/s;", "burst=1999 nodelay;")),
        (HAProxy, ("{ sc0_gpc0_rate ge 2000 }",)),
    ],
)
def test_an_address_may_do_200_handshakes_a_second_by_default(
    make: MakeSettings, debian: MakeSurvey, proxy: type[HAProxy | Nginx], parts: tuple[str, ...]
) -> None:
    """On hosts, limits are tested that are low enough for any machine to reach."""
    found = text(make, debian, proxy)
    for part in parts:
        assert part in found, part


def test_the_numbers(make: MakeSettings, debian: MakeSurvey) -> None:
    limits = {
        "edge": Edge(connections=5, handshakes_per_second=7, header_size=2048),
        "max_connections": 300,
    }
    found = text(make, debian, Nginx, **limits)
    for part in (
        "rate=7r/s;",
        "burst=69 nodelay;",
        "limit_conn addresses 5;",
        "limit_conn clients 300;",
        "large_client_header_buffers 2 2048;",
    ):
        assert part in found, part
    found = text(make, debian, HAProxy, **limits)
    for part in (
        "{ sc0_gpc0_rate ge 70 }",
        "{ sc0_conn_cur gt 5 }",
        "{ be_conn(app) ge 300 }",
        "{ req.hdrs,length gt 4096 }",
    ):
        assert part in found, part


def test_connections_of_an_address_by_default(make: MakeSettings) -> None:
    for clients, wanted in ((1, 1000), (1000, 1000), (10_000, 5000), (1_000_000, 500_000)):
        assert edge.connections(make(max_connections=clients)) == wanted


def test_nginx_counts_in_parts_that_it_can_count(make: MakeSettings) -> None:
    clients = (1, 65_535, 65_536, 655_350, 1_000_000)
    assert [nginx_conf.shard_digits(number) for number in clients] == [0, 0, 1, 1, 2]


def test_haproxy_has_room_for_those_who_wait(make: MakeSettings, debian: MakeSurvey) -> None:
    for clients in (1, 1000, 10_000, 100_000):
        room = haproxy.room(Target(make(max_connections=clients), "one", debian()))
        assert room.clients == clients
        assert room.maxconn - room.clients >= max(1024, clients // 10)


def test_hsts(make: MakeSettings) -> None:
    def sent(**options: Any) -> str | None:
        return edge.hsts(make(tls=SelfSigned(**options)))

    assert sent() == "max-age=63072000"
    assert sent(hsts=300, hsts_subdomains=True) == "max-age=300; includeSubDomains"
    assert sent(hsts=0) is None


@pytest.mark.parametrize("header", ["proxy-protocol", "x-forwarded-for"])
def test_only_the_balancer_is_believed(
    make: MakeSettings, debian: MakeSurvey, header: Literal["proxy-protocol", "x-forwarded-for"]
) -> None:
    behind = {"edge": Edge(behind=Behind(("10.1.0.0/16",), header))}
    found = text(make, debian, Nginx, **behind)
    assert re.findall(r"set_real_ip_from (.*);", found) == ["10.1.0.0/16"]
    assert "return 444" in found[found.index("ssl_certificate_key") :]
    # The host's own checks come without it.
    assert ("listen 127.0.0.1:443 ssl;" in found) == (header == "proxy-protocol")
    found = text(make, debian, HAProxy, **behind)
    assert "tcp-request connection reject unless balancer || own\n" in found
    assert ("expect-proxy layer4 if balancer\n" in found) == (header == "proxy-protocol")
    assert ("set-src" in found) == (header == "x-forwarded-for")
