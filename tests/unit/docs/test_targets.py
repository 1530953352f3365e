"""The table of targets says what happens: each setting is given, and each place answers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs import targets
from tests.unit.cluster.conftest import IMAGE, WAYS
from tests.unit.platforms.conftest import MADE
from wsdeploy import (
    Acme,
    App,
    Behind,
    CertFiles,
    Edge,
    Failover,
    Firewall,
    FromFile,
    HAProxy,
    Kubernetes,
    Leaving,
    Metrics,
    Probe,
    SelfSigned,
    Settings,
    SettingsError,
    pods,
)
from wsdeploy.cluster import keeping
from wsdeploy.platforms import verdicts
from wsdeploy.settings.cluster import HTTPRoute, Ingress, LoadBalancer

PAGE = Path(__file__).parents[3] / "docs/reference/targets.md"
CELLS = {"kept": "kept", "*told*": "told", "**refused**": "refused"}

# A value of each setting that is not its default, as an inventory would give it.
SERVICE: dict[str, dict[str, Any]] = {
    "domain": {},
    "name": {"name": "chat"},
    "max_connections": {"max_connections": 500},
    "hosts_at_once": {"hosts_at_once": 2},
    "internal_tls": {"internal_tls": True},
    "security_updates": {"security_updates": True},
    "take_over": {"take_over": True},
    "failover": {"failover": Failover(["10.0.0.7"])},
    "metrics": {"metrics": Metrics(["10.0.0.5"])},
    "leaving": {"leaving": Leaving("aws")},
    "firewall": {"firewall": Firewall()},
    "firewall.ssh_from": {"firewall": Firewall(ssh_from=("10.0.0.0/8",))},
    "firewall.allow": {"firewall": Firewall(allow=("tcp/9100",))},
    "proxy": {"proxy": HAProxy()},
    "proxy.shutdown_timeout": {"proxy": HAProxy(shutdown_timeout=60)},
    "proxy.access_log": {"proxy": HAProxy(access_log=False)},
}
APP: dict[str, Any] = {
    "path": "app.py", "requirements": "requirements.txt", "exclude": ["data"],
    "command": ["chat", "--port=$WS_PORT"], "processes": 2, "env": {"PLAN": "a"},
    "secrets": {"KEY": FromFile("app.py")}, "writable": ["/srv/uploads"], "listen": "unix",
    "port": 9000, "reuse_port": False, "compression": "off", "max_size": 1000,
    "ping_interval": 30, "ping_timeout": None, "max_age": 3600, "close_code": 1001,
    "log_level": "debug", "drain": 5, "shutdown_drain": 5, "start_timeout": 60, "healthy_for": 5,
    "hang_timeout": 5, "health": "/alive", "before_release": ["python", "-m", "chat.migrate"],
    "after_release": ["python", "-m", "chat.tell"], "release_timeout": 60,
}  # fmt: skip
PROBE: dict[str, Any] = {"path": "/chat", "send": "hello", "expect": "hello"}
EDGE: dict[str, Any] = {
    "origins": ["https://a-company.com"], "paths": ["/*"], "plain_paths": ["/status"],
    "handshakes_per_second": 5, "connections": 5, "unlimited_networks": ["10.0.0.0/8"],
    "header_size": 1024,
}  # fmt: skip
BEHIND = Behind(["10.0.0.0/8"], "x-forwarded-for", direct=True)
MAIL = "ops@a-company.com"
TLS: dict[str, Any] = {
    "Acme.email": Acme(MAIL),
    "Acme.names": Acme(MAIL, names=["www.a-company.com"]),
    "Acme.directory_url": Acme(MAIL, directory_url="https://ca.a-company.com"),
    "Acme.key_type": Acme(MAIL, key_type="rsa2048"),
    "Acme.authority": Acme(MAIL, authority="app.py"),
    "Acme.check": Acme(MAIL, check=False),
    "CertFiles.certificate": CertFiles("app.py", "app.py"),
    "CertFiles.key": CertFiles("app.py", "app.py"),
    "SelfSigned.names": SelfSigned(names=["www.a-company.com"]),
    "SelfSigned.days": SelfSigned(days=30),
    "policy": Acme(MAIL, policy="modern"),
    "hsts": Acme(MAIL, hsts=300),
    "hsts_subdomains": Acme(MAIL, hsts_subdomains=True),
}
VALUES: dict[str, dict[str, Any]] = {
    **SERVICE,
    **{f"app.{name}": {"app": {name: value}} for name, value in APP.items()},
    **{f"app.probe.{name}": {"app": {"probe": Probe(**{name: it})}} for name, it in PROBE.items()},
    **{f"edge.{name}": {"edge": Edge(**{name: value})} for name, value in EDGE.items()},
    "edge.origin_required": {"edge": Edge(["https://a-company.com"], origin_required=True)},
    **{f"edge.behind{name}": {"edge": Edge(behind=BEHIND)}
       for name in ("", ".networks", ".header", ".direct")},
    **{f"tls.{name}": {"tls": value} for name, value in TLS.items()},
}  # fmt: skip
PLATFORMS = {kind.title: platform for kind, platform in MADE.items()}


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("print('one')\n")
    (tmp_path / "requirements.txt").write_text("")


def page() -> Iterator[tuple[str, str, str]]:
    """Each setting of the page, each place, and what is said there."""
    for line in PAGE.read_text().splitlines():
        setting, *cells = re.findall(r"(?<=\| ).+?(?= \|)", line) or [""]
        if len(cells) == len(targets.TARGETS) and setting.startswith("`"):
            for place, cell in zip(targets.TARGETS, cells, strict=True):
                yield setting.strip("`"), place, CELLS[cell]


def test_every_setting_is_in_the_page_once() -> None:
    found = [setting for setting, place, _ in page() if place == "Hosts"]
    assert sorted(found) == sorted(keeping.ROWS)


def test_every_setting_is_tried() -> None:
    assert VALUES.keys() == keeping.ROWS.keys()


def given(setting: str) -> Settings:
    """Settings that differ from the defaults in one."""
    values = dict(VALUES[setting])
    app = App(**{"path": "app.py", **values.pop("app", {})})
    return Settings("ws.a-company.com", app, **{"tls": Acme(MAIL), **values})


def way_in(place: str, settings: Settings) -> LoadBalancer | Ingress | HTTPRoute:
    """The way in, with an issuer only where one is wanted."""
    kind = keeping.WAYS[targets.CLUSTERS.index(place)]
    (way,) = [each for name, each in WAYS.items() if type(each) is kind and "gateway" not in name]
    if isinstance(settings.tls, Acme) or isinstance(way, HTTPRoute):
        return way
    return Ingress() if isinstance(way, Ingress) else LoadBalancer(way.image)


def answer(place: str, settings: Settings) -> tuple[list[str], list[str]]:
    """What is refused in a place, and what is told."""
    if place in PLATFORMS:
        where = PLATFORMS[place]
        refused = [str(problem) for problem in verdicts.problems(settings, where)]
        return refused, [*verdicts.notes(settings, where)]
    kubernetes = Kubernetes("chat", IMAGE, way_in(place, settings))
    try:
        pods(settings, kubernetes)
    except SettingsError as error:
        return [str(problem) for problem in error.problems], []
    return [], [*keeping.notes(settings, kubernetes)]


@pytest.mark.parametrize("place", targets.TARGETS[1:])
def test_each_place_does_with_each_setting_what_the_page_says(place: str) -> None:
    said = {setting: kind for setting, where, kind in page() if where == place}
    for setting, kind in said.items():
        refused, told = answer(place, given(setting))
        words = targets.answers(setting)[place].words
        # An error names a setting as it is written, or the section that is refused as a whole.
        shown = re.sub(r"^tls\.[A-Z]\w+", "tls", setting)
        names = {shown, shown.rpartition(".")[0]}
        if kind == "refused":
            (line,) = refused
            assert line.partition(":")[0] in names, setting
            assert line.endswith(words), setting
        else:
            assert refused == [], setting
            named = any(line.partition(":")[0] in names for line in told)
            # Sections have lines that are always there.
            assert named or kind == "kept", setting
            if kind == "kept":
                assert shown not in {line.partition(":")[0] for line in told}, setting
