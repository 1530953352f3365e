"""Every mistake is one line that names the setting, says what was given, and what would do."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.settings.conftest import Lines, MakeSettings
from wsdeploy import (
    App,
    Behind,
    Edge,
    Firewall,
    FromEnv,
    HAProxy,
    Leaving,
    Nginx,
    Probe,
    SelfSigned,
    Settings,
    SettingsError,
)
from wsdeploy.inventory.local_files import check
from wsdeploy.settings.service import TAKEN_NAMES

FULL_NAME = "give a full host name, such as ws.your-company.com"
PLACEHOLDER = "that is a placeholder; give your service's name"
SHORT_NAME = "give lower-case letters, digits and hyphens, at most 20"
WHOLE_NUMBER = "give a whole number"
# Letters outside ASCII that regular expressions take for s and k when case does not matter.
LONG_S, KELVIN = "\u017f", "\u212a"

Table = dict[str, dict[str, list[Any]]]

# Setting, what would do, and what would not.
TOP: Table = {
    "domain": {
        FULL_NAME: [
            "",
            "ws",
            "https://ws.a-company.com/",
            "-ws.a-company.com",
            "192.0.2.1",
            f"{'a' * 64}.com",
            f"w{LONG_S}.a-company.com",
            f"ws.a-{KELVIN}ompany.com",
        ],
        "leave out the dot at its end": ["WS.A-Company.com."],
        PLACEHOLDER: ["ws.example.com", "example.org", "WS.Example.COM", "ws.your-company.com"],
        "give a string": [7],
    },
    "hosts_at_once": {f"{WHOLE_NUMBER} from 1 to 100": [0, 101]},
    "max_connections": {
        WHOLE_NUMBER: [True, 1e4, None, "10k"],
        f"{WHOLE_NUMBER} from 1 to 1,000,000": [0, 1_000_001],
    },
    "name": {SHORT_NAME: ["My App", "a" * 21, "", "1st", f"w{LONG_S}"]},
    "edge": {"give Edge(...)": [None, "open"]},
    "firewall": {"give Firewall(...) or True or False": ["no", None, 1]},
    "security_updates": {"give True or False": ["no", None, 1]},
    "internal_tls": {"give True or False": ["yes", None, 1]},
    "app": {"give App(...)": ["app.py", None]},
    "tls": {"give Acme(...) or CertFiles(...) or SelfSigned(...)": [None, "cert.pem"]},
    "proxy": {"give Nginx(...) or HAProxy(...)": ["nginx", Nginx]},
}
APP: Table = {
    "processes": {
        f"{WHOLE_NUMBER} from 1 to 99": [0, 100, -1],
        f"{WHOLE_NUMBER} or 'auto'": ["4", True, 4.0, "Auto"],
    },
    "drain": {
        "give seconds from 0 to 3,600": [-1, 3601, float("nan"), float("inf")],
        "give a number": [True, "30"],
    },
    "shutdown_drain": {"give seconds from 0 to 300": [-1, 301]},
    "max_age": {
        "give seconds from 60 to 604,800, or None": [0, 59, 604_801],
        "give a number or None": ["60"],
    },
    "healthy_for": {"give seconds from 0 to 600": [-1, 601]},
    "ping_interval": {"give seconds from 1 to 300": [0, 301]},
    "ping_timeout": {"give seconds from 1 to 300, or None": [0, 301]},
    "start_timeout": {"give seconds from 1 to 600": [0, 601]},
    "hang_timeout": {
        "give seconds from 1 to 600, or None": [0, 0.5, 601, float("nan")],
        "give a number or None": [True, "3"],
    },
    "max_size": {f"{WHOLE_NUMBER} of bytes from 1 to 1,073,741,824": [0, 2**30 + 1]},
    "close_code": {"give 1001 or 1012": [1000, "1012", 1012.0]},
    "compression": {"give 'off' or 'low' or 'medium' or 'high'": ["zip", None]},
    "log_level": {"give 'debug' or 'info' or 'warning' or 'error'": ["INFO"]},
    "listen": {"give 'unix' or 'tcp' or 'shared' or None": ["udp"]},
    "port": {f"{WHOLE_NUMBER} from 1,024 to 65,435": [80, 65_436], WHOLE_NUMBER: ["8000"]},
    "reuse_port": {"give True or False": [1]},
    "health": {
        "give a path: / and then letters, digits and ._~/%?&=+:@!,-, or None": [
            "healthz",
            "",
            "/a b",
            "/a;b",
            "/$a",
            "/{",
            "/a#b",
            '/"',
        ],
        "leave that out; it stands for something else": ["/@LISTEN@"],
    },
    "command": {"give a list, each a string or None": ["python app.py", [1]]},
    "path": {
        "leave out line breaks, and ; or # after a space": ["a ;b.py", "a #b.py", "a\nb.py"],
        "rename it; $ would stand for a variable": ["$HOME.py"],
    },
    "requirements": {"give a string or None": [["a.txt"]]},
    "env": {"give a dict, each value a string": [["A=1"]]},
    "probe": {"give Probe(...)": ["hello"]},
}

EDGE_PATH = (
    "give a path of at most 200 letters, digits and ._~/+=@!,:-, with a * at its end or none"
)
NETWORK = "give a network, such as 192.0.2.0/24 or 2001:db8::/32"
EDGE: Table = {
    "origins": {
        "give a list, each a string": ["https://a-company.com", [1]],
    },
    "origin_required": {"give the origins to allow, too": [True], "give True or False": [1]},
    "paths": {"give a list, each a string": ["/chat"]},
    "handshakes_per_second": {
        f"{WHOLE_NUMBER} from 1 to 100,000": [0, 100_001],
        WHOLE_NUMBER: [0.5, None],
    },
    "connections": {
        f"{WHOLE_NUMBER} from 1 to 1,000,000, or None": [0, 1_000_001],
        f"{WHOLE_NUMBER} or None": ["many"],
    },
    "header_size": {"give bytes from 1,024 to 32,768": [1023, 32_769]},
    "behind": {"give Behind(...) or None": ["10.0.0.0/8"]},
}
EDGE_LISTS: Table = {
    "paths": {
        EDGE_PATH: [
            "chat", "", "*", "/a*b", "/a**", "/a?b", "/%61", "/a b", '/"', "/a;b", "/{", "/é",
            "/a//b", "/../a", "/a/.", f"/{'a' * 200}", "/a\n",
        ]
    },
    "unlimited_networks": {
        NETWORK: ["192.0.2.1/24", "office", "192.0.2.0-192.0.2.9", ""],
        "that is everybody; name the networks": ["0.0.0.0/0", "::/0"],
    },
    "origins": {
        "give each origin as a string of its own, without spaces": ["https://a.com,https://b.com"],
        "leave it out": [""],
    },
}  # fmt: skip
EDGE_LISTS["plain_paths"] = EDGE_LISTS["paths"]


def rows(table: Table) -> list[tuple[str, Any, str]]:
    return [
        (s, v, w) for s, wanted in table.items() for w, values in wanted.items() for v in values
    ]


def test_a_service(make: MakeSettings, lines: Lines) -> None:
    found = [lines(make(**{setting: value})) for setting, value, _ in rows(TOP)]
    assert found == [[f"{s}: {value!r} given; {wanted}"] for s, value, wanted in rows(TOP)]


def test_an_app(make: MakeSettings, lines: Lines, folder: Path) -> None:
    for paths in APP["path"].values():
        for path in paths:
            (folder / path).touch()
    found = [
        lines(make(app=App(**{"path": "app.py", setting: value})))
        for setting, value, _ in rows(APP)
    ]
    assert found == [[f"app.{s}: {value!r} given; {wanted}"] for s, value, wanted in rows(APP)]


def test_an_edge(make: MakeSettings, lines: Lines) -> None:
    found = [lines(make(edge=Edge(**{setting: value}))) for setting, value, _ in rows(EDGE)]
    assert found == [[f"edge.{s}: {value!r} given; {wanted}"] for s, value, wanted in rows(EDGE)]
    table = rows(EDGE_LISTS)
    # Of several, the one that is wrong is named. The check of a deployment goes to /.
    good = {"paths": "/", "plain_paths": "/", "origins": "null", "unlimited_networks": "::1"}
    found = [lines(make(edge=Edge(**{s: [good[s], value]}))) for s, value, _ in table]
    assert found == [[f"edge.{s}: {value!r} given; {wanted}"] for s, value, wanted in table]


def test_names_that_debian_has_taken(make: MakeSettings, lines: Lines) -> None:
    assert {"root", "www-data", "nginx", "haproxy", "supervisor", "ssl"} <= TAKEN_NAMES
    for name in TAKEN_NAMES:
        line = f"name: {name!r} given; Debian has a user or folder of that name"
        assert lines(make(name=name)) == [line]


def test_variables(make: MakeSettings, lines: Lines) -> None:
    def found(**settings: Any) -> list[str]:
        return lines(make(app=App("app.py", **settings)))

    value = FromEnv("HOME")
    own = ("WS_SOCKET", "WS_PORT", "PYTHONPATH", "SUPERVISOR_PROCESS_NAME")
    for setting, one in (("env", "1"), ("secrets", value)):
        for name in ("A-B", "1A", "A\n", ""):
            line = f"app.{setting}: {name!r} given; a variable's name is letters, digits and _"
            assert found(**{setting: {name: one}}) == [line]
        for name in own:
            line = f"app.{setting}: {name!r} given; the deployment sets this variable itself"
            assert found(**{setting: {name: one}}) == [line]
    assert found(env={"A": "\0"}) == ["app.env: the value of A has a NUL character; drop it"]
    assert found(env={"A": "1"}, secrets={"A": value}) == [
        "app.secrets: 'A' given; it is in env too; give it once"
    ]


def test_values_of_variables_are_not_shown(make: MakeSettings, lines: Lines) -> None:
    assert lines(make(app=App("app.py", env={"TOKEN": "s3cret", "PORT": 80}))) == [
        "app.env: a value of type int given for 'PORT'; give a dict, each value a string"
    ]
    assert lines(make(app=App("app.py", secrets={"TOKEN": "s3cret"}))) == [
        "app.secrets: a value of type str given for 'TOKEN'; "
        "give a dict, each value FromEnv(...) or FromFile(...) or FromCommand(...)"
    ]


ALLOW = "write 'tcp/9100', 'udp/51820' or 'tcp/9100 from 10.0.0.0/8'"
MORE = [
    ({"domian": "ws.a.com"}, "domian: no such setting (did you mean domain?)"),
    (
        {"max_connection": 7},
        "max_connection: no such setting (did you mean max_connections?)",
    ),
    (
        {"colour": "red"},
        "colour: no such setting; known are "
        "domain, app, tls, proxy, max_connections, firewall, edge, failover, metrics, name, "
        "hosts_at_once, internal_tls, security_updates, take_over, leaving",
    ),
    (
        {"leaving": Leaving("gcp", quiet=13)},
        "leaving.quiet: 13 given; with app.shutdown_drain that is 23 s, and a spot machine has "
        "22 s; give less of either",
    ),
    (
        {"leaving": Leaving("gcp", metadata="169.254.169.254")},
        "leaving.metadata: '169.254.169.254' given; give a URL without a path: 'http://ADDRESS'",
    ),
    (
        {"app": App("app.py", proceses=4)},
        "app.proceses: no such setting (did you mean processes?)",
    ),
    (
        {"app": App("app.py", listen="shared", reuse_port=False)},
        "app.reuse_port: False given; processes on a shared port need it; give True",
    ),
    (
        {"app": App("app.py", command=[])},
        "app.command: it is empty; give a command and its arguments, or None",
    ),
    (
        {"app": App("app.py", command=["python", "a ;b"])},
        "app.command: 'a ;b' given; leave out line breaks, and ; or # after a space",
    ),
    (
        {"app": App("app.py", probe=Probe("no slash"))},
        "app.probe.path: 'no slash' given; "
        "give a path: / and then letters, digits and ._~/%?&=+:@!,-",
    ),
    (
        {"app": App("app.py", probe=Probe(excpect="x"))},
        "app.probe.excpect: no such setting (did you mean expect?)",
    ),
    (
        {"app": App("app.py", secrets={"A": FromEnv("A B")})},
        "app.secrets.A.name: 'A B' given; a variable's name is letters, digits and _",
    ),
    ({"app": App()}, "app.path: missing; give a string"),
    (
        {"app": App("app.py", writable=["uploads"])},
        "app.writable: 'uploads' given; "
        "give an absolute path of letters, digits and ._@+-, without a / at its end",
    ),
    (
        {"app": App("app.py", writable=["/srv/a/../b"])},
        "app.writable: '/srv/a/../b' given; "
        "give an absolute path of letters, digits and ._@+-, without a / at its end",
    ),
    (
        {"app": App("app.py", writable=["/tmp/uploads"])},
        "app.writable: '/tmp/uploads' given; the app's sandbox has its own there; move it",
    ),
    (
        {"firewall": Firewall(ssh_from=["10.0.0.1/8"])},
        "firewall.ssh_from: '10.0.0.1/8' given; give a network or an address: '192.0.2.0/24'",
    ),
    (
        {"firewall": Firewall(allow=["9100"])},
        f"firewall.allow: '9100' given; {ALLOW}",
    ),
    (
        {"firewall": Firewall(allow=["tcp/70000"])},
        f"firewall.allow: 'tcp/70000' given; {ALLOW}",
    ),
    (
        {"firewall": Firewall(allow=["all"])},
        f"firewall.allow: 'all' given; {ALLOW}",
    ),
    (
        {"firewall": Firewall(allow="tcp/80")},
        "firewall.allow: 'tcp/80' given; give a list, each a string",
    ),
    (
        {"proxy": Nginx(shutdown_timeout=1)},
        "proxy.shutdown_timeout: 1 given; give seconds from 10 to 2,592,000, or None",
    ),
    (
        {"proxy": HAProxy(shutdown_timeout=2_592_001)},
        "proxy.shutdown_timeout: 2592001 given; give seconds from 10 to 2,592,000, or None",
    ),
    (
        {"proxy": Nginx(acess_log=False)},
        "proxy.acess_log: no such setting (did you mean access_log?)",
    ),
    (
        {"tls": SelfSigned(days=1)},
        "tls.days: 1 given; give a whole number of days from 2 to 825",
    ),
    (
        {"tls": SelfSigned(names=["localhost"])},
        "tls.names: 'localhost' given; give full host names or addresses",
    ),
    (
        {"tls": SelfSigned(policy="old")},
        "tls.policy: 'old' given; give 'intermediate' or 'modern'",
    ),
    (
        {"tls": SelfSigned(hsts=-1)},
        "tls.hsts: -1 given; give seconds from 0 to 315,360,000",
    ),
    (
        {"tls": SelfSigned(hsts=0, hsts_subdomains=True)},
        "tls.hsts_subdomains: True given; with hsts=0 none is sent; give seconds there",
    ),
    (
        {"edge": Edge(origins=["https://A.com/"])},
        'edge.origins: "https://A.com/" isn\'t an origin as browsers send it; give a scheme, a '
        "host in lower case and a port unless it's the usual one, like https://example.com",
    ),
    ({"edge": Edge(origins=["*"])}, "edge.origins: leave it empty to allow any origin"),
    (
        {"edge": Edge(origins=["https://a.com:443"])},
        'edge.origins: "https://a.com:443" has its scheme\'s usual port, which browsers leave out; '
        "give https://a.com",
    ),
    (
        {"edge": Edge(paths=["/chat", "/rooms/*"])},
        "edge.paths: ('/chat', '/rooms/*') given; the check of a deployment goes to '/'; "
        "add that, or change app.probe.path",
    ),
    (
        {"edge": Edge(behind=Behind([], "proxy-protocol"))},
        "edge.behind.networks: it is empty; give the networks that the balancer comes from",
    ),
    (
        {"edge": Edge(behind=Behind(header="proxy-protocol"))},
        "edge.behind.networks: missing; give a list, each a string",
    ),
    (
        {"edge": Edge(behind=Behind(["10.0.0.1"]))},
        "edge.behind.header: missing; give 'proxy-protocol' or 'x-forwarded-for'",
    ),
    (
        {"edge": Edge(behind=Behind(["10.0.0.1"], "forwarded"))},
        "edge.behind.header: 'forwarded' given; give 'proxy-protocol' or 'x-forwarded-for'",
    ),
    (
        {"edge": Edge(behind=Behind(["0.0.0.0/0"], "x-forwarded-for"))},
        "edge.behind.networks: '0.0.0.0/0' given; that is everybody; name the networks",
    ),
    (
        {"edge": Edge(behind=Behind(["10.0.0.1"], "proxy-protocol", direct=True))},
        "edge.behind.direct: True given; nginx takes the PROXY protocol from everybody or nobody; "
        "give False, or HAProxy()",
    ),
    (
        {"app": App("app.py", env={"WS_ORIGINS": "https://a.com"})},
        "app.env: 'WS_ORIGINS' given; the proxy checks origins; give them in edge",
    ),
    (
        {"tls": SelfSigned(names="ws.a-company.com")},
        "tls.names: 'ws.a-company.com' given; give a list, each a string",
    ),
]


def test_more_mistakes_named_as_users_write_them(make: MakeSettings, lines: Lines) -> None:
    assert [lines(make(**changes)) for changes, _ in MORE] == [[line] for _, line in MORE]


def test_what_is_missing(lines: Lines) -> None:
    assert lines(Settings()) == [
        "domain: missing; give a string",
        "app: missing; give App(...)",
        "tls: missing; give Acme(...) or CertFiles(...) or SelfSigned(...)",
    ]


def test_too_many_values(lines: Lines) -> None:
    settings = Settings(
        "ws.a-company.com", App("app.py"), SelfSigned(), Nginx(), 100, True, Edge(), None, None,
        "ws", 8, True, False, False, None, 9,
    )  # fmt: skip
    assert lines(settings) == ["Settings: 16 values given; it takes 15"]
    # What all kinds of certificates have is given by name.
    assert lines(Settings("ws.a-company.com", App("app.py"), SelfSigned([], 90, "modern"))) == [
        "tls.SelfSigned: 3 values given; it takes 2"
    ]


def test_all_problems_at_once_in_the_order_of_the_settings(lines: Lines) -> None:
    settings = Settings(
        domian="ws.a-company.com",
        app=App("missing.py", processes=0, drain="long"),
        tls=SelfSigned(days=0),
        max_connections=-5,
    )
    found = [line.split(":")[0] for line in lines(settings)]
    assert found == [
        "domian",
        "domain",
        "max_connections",
        "app.drain",
        "app.processes",
        "tls.days",
        "app.path",
    ]


def test_making_bad_settings_never_raises() -> None:
    Settings(app=App(processes=0), nonsense=1)


def test_good_settings_pass(make: MakeSettings) -> None:
    settings = make(
        app=App(
            "app.py",
            processes=1,
            drain=0,
            env={"TOKEN": "a value"},
            probe=Probe("/chat?room=1", send="x", expect="x"),
        ),
        tls=SelfSigned(names=["10.0.0.1", "2001:db8::1", "other.a-company.com"]),
        max_connections=1,
        name="chat-2",
    )
    check(settings)
    wanted = make(
        app=App("app.py", probe=Probe("/rooms/1?token=x")),
        proxy=HAProxy(),
        tls=SelfSigned(policy="modern", hsts=0),
        edge=Edge(
            origins=["https://*.a-company.com", "null"],
            origin_required=True,
            paths=["/chat", "/rooms/*"],
            plain_paths=["/*"],
            unlimited_networks=["192.0.2.1", "2001:db8::/32"],
            connections=1,
            behind=Behind(["10.0.0.0/8"], "proxy-protocol", direct=True),
        ),
    )
    check(wanted)


def test_the_error_ends_the_program_with_its_lines(make: MakeSettings) -> None:
    with pytest.raises(SystemExit) as raised:
        check(make(domain=7))
    assert isinstance(raised.value, SettingsError)
    assert isinstance(raised.value.code, str), "Python prints it and exits with 1"
    assert [str(problem) for problem in raised.value.problems] == ["domain: 7 given; give a string"]


def test_a_rejected_setting_is_not_reported_twice(make: MakeSettings, lines: Lines) -> None:
    assert lines(make(app=App("app.py", processes="many"))) == [
        "app.processes: 'many' given; give a whole number or 'auto'"
    ]
