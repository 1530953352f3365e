"""Every template renders, with nothing undefined, for a matrix of settings and hosts."""

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined, meta
from jinja2.environment import Template

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy import (
    Acme,
    Behind,
    CertFiles,
    Edge,
    Failover,
    Firewall,
    HAProxy,
    Image,
    Kubernetes,
    Leaving,
    LoadBalancer,
    Metrics,
    Nginx,
    SelfSigned,
    templates,
)
from wsdeploy.bundle import build as bundles
from wsdeploy.bundle import user_data
from wsdeploy.cluster import proxy as cluster_proxy
from wsdeploy.cluster.target import ClusterTarget
from wsdeploy.plan import components
from wsdeploy.plan.app import generation, leaving, release_commands, supervisor, watchdog
from wsdeploy.plan.components import COMPONENTS, PUSHED_CERTIFICATE
from wsdeploy.plan.host import firewall, hardening, metrics, system
from wsdeploy.plan.host import render as render_module
from wsdeploy.plan.host.render import RenderError, environment, render
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import (
    acme,
    failover,
    haproxy,
    haproxy_cfg,
    internal,
    nginx,
    nginx_conf,
    proxies,
    reach,
)
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings
from wsdeploy.templates import OURS

# Each proxy, by the folder of its templates.
PROXIES: dict[str, type[HAProxy | Nginx]] = {"haproxy": HAProxy, "nginx": Nginx}

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "a machine that its cloud takes away": {"leaving": Leaving("aws")},
    "one process": {"app": {"processes": 1, "drain": 0}},
    "many": {"app": {"processes": 99}, "max_connections": 1_000_000},
    "small": {"max_connections": 1},
    "fractions": {"app": {"drain": 0.5, "ping_interval": 1.5, "ping_timeout": 2.5}},
    "another name": {"name": "chat-2"},
    "names": {"tls": SelfSigned(names=("10.0.0.1", "2001:db8::1", "b.a-company.com"))},
    "an authority": {"tls": Acme("ops@a-company.com", names=("b.a-company.com",))},
    "own certificate": {"tls": CertFiles("c.pem", "k.pem")},
    "variables": {"app": {"env": {"TOKEN": "s3cret"}}},
    "no watchdog": {"app": {"hang_timeout": None}},
    "ports": {"app": {"listen": "tcp"}},
    "no health check": {"app": {"health": None, "listen": "shared"}},
    "folders": {"app": {"writable": ["/srv/uploads", "/mnt/data/x"]}},
    "firewall": {"firewall": Firewall(ssh_from=("10.0.0.0/8",), allow=("udp/51820", "vrrp"))},
    "a balancer": {"edge": Edge(behind=Behind(("192.0.2.0/24",), "proxy-protocol"))},
    "a balancer that ends TLS": {"edge": Edge(behind=Behind(("192.0.2.0/24",), "x-forwarded-for"))},
    "rules": {
        "edge": Edge(origins=("https://*.a-company.com",), paths=("/a/*",), plain_paths=("/b",))
    },
    "security updates": {"security_updates": True},
    "metrics": {"metrics": Metrics(["10.0.0.5", "fd00::/64"])},
    "tiers": {"groups": "tiers"},
    "tiers with one port": {"groups": "tiers", "app": {"listen": "shared"}},
    "shared addresses": {
        "groups": "pair",
        "failover": Failover(("192.168.1.10", "fd01::10"), router_id=51),
    },
    "tiers with shared addresses": {
        "groups": "pair of proxies",
        "failover": Failover(("10.0.0.7",)),
    },
    "tiers with TLS": {"groups": "tiers", "internal_tls": True},
}
PROXY_SETTINGS: tuple[dict[str, Any], ...] = ({"shutdown_timeout": 10.5}, {"access_log": False})
HOSTS: dict[str, dict[str, Any]] = {
    "bare": {},
    "bookworm": {"version": "12"},
    "trixie": {"version": "13"},
    "container": {"version": "13", "open_files": 20_000, "sysctl": {}},
}


def everything(settings: Settings, survey: Survey) -> dict[str, str]:
    """Path and content of all that is rendered for the first host of each role."""
    first = dict.fromkeys((settings.topology.app[0], settings.topology.proxy[0]))
    targets = [Target(settings, host, survey) for host in first]
    found = {
        file.path: file.content
        for target in targets
        for each in COMPONENTS
        # Its files need not exist here, and nothing of them is rendered.
        if each.on(target) and each.wanted(target) and each is not PUSHED_CERTIFICATE
        for file in each.files(target).files
        # No templates.
        if not file.path.endswith((".py", ".json"))
    }
    wanted = generation.planned(targets[0], "0" * 12, "app/app.py")
    return found | {file.path: file.content for file in wanted.files}


# What hosts have, by their roles. Written out, so that the plan and its tests can't agree
# on a mistake.
BASE = {
    "/etc/needrestart/conf.d/wsdeploy.conf",
    "/etc/sysctl.d/60-ws.conf",
    "/etc/systemd/system/ws-firewall.service",
    "/etc/sysusers.d/ws.conf",
    "/etc/tmpfiles.d/ws.conf",
    "/etc/ws/firewall.nft",
    "/usr/sbin/policy-rc.d",
}
OF_APP_HOSTS = {
    "/etc/systemd/system/supervisor.service.d/10-ws.conf",
    "/etc/systemd/system/supervisor.service.d/20-ws-sandbox.conf",
    "/etc/systemd/system/ws-watchdog.service",
    "/usr/local/lib/ws-watchdog/wshost/watchdog/service.py",
}
OF_PROXIES = {
    "nginx": {
        "/etc/nginx/nginx.conf",
        "/etc/systemd/system/nginx.service.d/10-ws.conf",
        "/etc/systemd/system/nginx.service.d/20-ws-sandbox.conf",
    },
    "haproxy": {
        "/etc/haproxy/haproxy.cfg",
        "/etc/haproxy/ws.certificates",
        "/etc/systemd/system/haproxy.service.d/10-ws.conf",
        "/etc/systemd/system/haproxy.service.d/20-ws-sandbox.conf",
    },
}
REACH = {
    "/etc/systemd/system/ws-reach.service",
    "/usr/local/lib/ws-reach/reach.json",
    "/usr/local/lib/ws-reach/wshost/watchdog/reach.py",
}
RENEWAL = {
    "/etc/systemd/system/ws-certificate.service",
    "/etc/systemd/system/ws-certificate.timer",
    "/etc/ws/acme/renewal.json",
    "/usr/local/lib/ws-acme/wshost/certificates/renewal.py",
}
SHARED = {
    "/etc/keepalived/keepalived.conf",
    "/etc/systemd/system/keepalived.service.d/10-ws.conf",
    "/etc/systemd/system/ws-addresses.service",
    "/etc/keepalived/ws-moved.sh",
    "/etc/keepalived/ws-serves.sh",
}
PROGRAMS = {"service.py", "reach.py", "renewal.py"}


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_files_of_each_role(make: MakeSettings, debian: MakeSurvey, proxy: str) -> None:
    def has(settings: Settings, host: str) -> set[str]:
        target = Target(settings, host, debian())
        files = [
            file.path
            for each in COMPONENTS
            if each.on(target) and each.wanted(target)
            for file in each.files(target).files
        ]
        # Of a program's modules, the one that is started.
        return {it for it in files if "/wshost/" not in it or it.rpartition("/")[2] in PROGRAMS}

    of_proxy = BASE | OF_PROXIES[proxy]
    assert has(make(proxy=PROXIES[proxy]()), "one") == of_proxy | OF_APP_HOSTS
    tiers = make(groups="tiers", proxy=PROXIES[proxy](), tls=Acme("ops@a-company.com"))
    assert has(tiers, "app1") == BASE | OF_APP_HOSTS
    learnt = {f"/etc/{proxy}/ws.processes"} | (REACH if proxy == "nginx" else set())
    assert has(tiers, "lb1") == of_proxy | RENEWAL | learnt
    shared = make(proxy=PROXIES[proxy](), **SETTINGS["tiers with shared addresses"])
    assert has(shared, "app1") == BASE | OF_APP_HOSTS
    assert has(shared, "lb1") - has(tiers, "lb1") == SHARED
    less = make({"hang_timeout": None}, proxy=PROXIES[proxy](), firewall=False)
    gone = {it for it in of_proxy | OF_APP_HOSTS if "firewall" in it or "watchdog" in it}
    assert has(less, "one") == (of_proxy | OF_APP_HOSTS) - gone


def proxys_file(settings: Settings, survey: Survey, proxy: str = "one") -> str:
    """The main configuration file of the proxy."""
    return proxies.chosen(settings).files(Target(settings, proxy, survey)).files[0].content


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("where", HOSTS)
def test_the_matrix(make: MakeSettings, debian: MakeSurvey, proxy: str, where: str) -> None:
    survey = Survey(bare=True) if where == "bare" else debian(**HOSTS[where])
    plain = [settings | {"proxy": PROXIES[proxy]()} for settings in SETTINGS.values()]
    for settings in plain + [{"proxy": PROXIES[proxy](**more)} for more in PROXY_SETTINGS]:
        for path, content in everything(make(**settings), survey).items():
            assert content.endswith("\n") or not content, path
            assert not re.search(r"{{|{%|{#|\bNone\b|\bTrue\b|\bFalse\b|Undefined", content), path
            assert path.endswith(".env") or "s3cret" not in content, path


def test_every_template_is_rendered(
    make: MakeSettings, debian: MakeSurvey, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    real = environment()

    class Noting(Environment):
        def get_template(self, name: str | Template, *rest: Any, **more: Any) -> Template:
            seen.add(str(name))
            return super().get_template(name, *rest, **more)

    noting = Noting(loader=real.loader, undefined=StrictUndefined)
    monkeypatch.setattr("wsdeploy.plan.host.render._environment", lambda _: noting)
    for proxy in PROXIES.values():
        more = {
            "tls": Acme("ops@a-company.com"),
            "security_updates": True,
            "metrics": Metrics(["10.0.0.5"]),
        }
        everything(make(groups="tiers", proxy=proxy(), internal_tls=True, **more), debian())
        everything(make(proxy=proxy(), **SETTINGS["a balancer that ends TLS"]), debian())
        everything(make(proxy=proxy(), **SETTINGS["shared addresses"]), debian())
        everything(make(proxy=proxy(), leaving=Leaving("gcp")), debian())
    digest = f"sha256:{'a' * 64}"
    way_in = LoadBalancer(f"haproxy@{digest}")
    kubernetes = Kubernetes("chat", Image("a-company.com/chat", base=f"debian@{digest}"), way_in)
    cluster_proxy.configuration(ClusterTarget(make(), kubernetes, "0" * 12, "", digest), way_in)
    target = Target(make({"before_release": ["true"]}), "one", debian())
    wanted = generation.planned(target, "0" * 12, "app/app.py")
    release_commands.request(target, wanted, "before_release", "0" * 12, by="anna", commit=None)
    bundles.scripts("ws", Path("inventories/machines.py"))
    user_data.user_data("ws", "ws.a-company.com", "ssh-ed25519 AAAA", "cat bundle")
    names = {name.removeprefix(f"{templates.PREFIX}/") for name in seen}
    assert names == {str(path.relative_to(OURS)) for path in OURS.rglob("*.j2")}


# What each template is given, unless it is nothing.
VIEWS = {
    "acme/certificate.service": (acme.CertificateService,),
    "acme/certificate.timer": (acme.CertificateTimer,),
    "failover/addresses.service": (failover.AddressesService,),
    "failover/keepalived.conf": (failover.KeepalivedConf,),
    "failover/moved.sh": (failover.MovedSh,),
    "failover/serves.sh": (failover.ServesSh,),
    "failover/unit.conf": (failover.UnitConf,),
    "haproxy/certificates": (haproxy.Certificates,),
    "haproxy/haproxy.cfg": (haproxy_cfg.HAProxyCfg,),
    "haproxy/sandbox.conf": (hardening.Sandbox, haproxy.SandboxConf),
    "kubernetes/certificate.lua": (cluster_proxy.CertificateLua,),
    "kubernetes/haproxy.cfg": (cluster_proxy.PodsCfg,),
    "metrics/metrics.socket": (metrics.MetricsSocket,),
    "metrics/metrics@.service": (metrics.MetricsService,),
    "nginx/nginx.conf": (nginx_conf.NginxConf,),
    "nginx/sandbox.conf": (hardening.Sandbox, nginx.SandboxConf),
    "reach/reach.service": (reach.ReachService,),
    "supervisor/boot.conf": (generation.BootConf,),
    "supervisor/generation.conf": (generation.GenerationConf,),
    "supervisor/release_command.conf": (release_commands.ReleaseCommandConf,),
    "supervisor/sandbox.conf": (hardening.Sandbox, supervisor.SandboxConf),
    "supervisor/unit.conf": (supervisor.UnitConf,),
    "leaving/leaving.service": (leaving.LeavingService,),
    "join/join.service": (bundles.JoinService,),
    "join/run.sh": (bundles.RunScript,),
    "join/user_data.sh": (user_data.UserData,),
    "system/firewall.nft": (firewall.FirewallNft,),
    "system/firewall.service": (firewall.FirewallService,),
    "system/sysctl.conf": (system.SysctlConf,),
    "system/sysusers.conf": (system.SysusersConf,),
    "system/tmpfiles.conf": (system.TmpfilesConf,),
    "watchdog/watchdog.service": (watchdog.WatchdogService,),
}
# Those that a listener of nginx and one of HAProxy share.
SHARED_VIEWS = {
    ("internal/haproxy.cfg", "internal/nginx.conf"): (internal.InternalConf,),
    ("internal/haproxy.service", "internal/nginx.service"): (internal.InternalService,),
}
# What is for those who extend a template.
FOR_OTHERS = {"settings"}


def variables(name: str | Path) -> set[str]:
    """What a template uses, and its parts, of what it is given."""
    tree = environment().parse((OURS / name).read_text())
    found = {it for it in meta.find_undeclared_variables(tree) if it != "condition"}
    for part in filter(None, meta.find_referenced_templates(tree)):
        found |= variables(part.removeprefix(f"{templates.PREFIX}/"))
    return found


def test_each_template_uses_what_its_type_says() -> None:
    given = {(name,): types for name, types in VIEWS.items()} | SHARED_VIEWS
    for names, types in given.items():
        said = {field for each in types for field in each.__annotations__}
        assert set().union(*(variables(f"{name}.j2") for name in names)) == said - FOR_OTHERS, names
    described = {f"{name}.j2" for names in given for name in names}
    parts = {path.name for path in OURS.rglob(f"{templates.PART}*")}
    for path in OURS.rglob("*.j2"):
        name = path.relative_to(OURS)
        if path.name not in parts and str(name) not in described:
            assert not variables(name), name


def test_parts_of_templates_of_ones_own_do_not_replace_ours(
    make: MakeSettings, debian: MakeSurvey, own: Callable[[str, str], None]
) -> None:
    before = proxys_file(make(), debian())
    own("nginx/_tls.j2", "mine")
    render_module._environment.cache_clear()
    assert proxys_file(make(), debian()) == before


def test_an_undefined_variable_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.j2").write_text("{{ unknown }}")
    monkeypatch.setattr("wsdeploy.plan.host.render._environment", lambda _: environment(tmp_path))
    with pytest.raises(RenderError, match=r"^templates/a\.j2: 'unknown' is undefined$"):
        render("a")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a template beside the inventory of the present run."""
    inventory = tmp_path / "prod.py"
    monkeypatch.setattr(sys, "argv", ["pyinfra", str(inventory), "deploy.py"])

    def write(name: str, text: str) -> None:
        path = tmp_path / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


EXTENDED = {
    "nginx": ("nginx/nginx.conf.j2", ("main", "server", "http")),
    "haproxy": ("haproxy/haproxy.cfg.j2", ("global", "defaults", "frontend", "backend")),
}


@pytest.mark.parametrize("proxy", PROXIES)
def test_directives_of_ones_own(
    make: MakeSettings, debian: MakeSurvey, own: Callable[[str, str], None], proxy: str
) -> None:
    settings = make(proxy=PROXIES[proxy]())
    before = proxys_file(settings, debian())
    name, blocks = EXTENDED[proxy]
    inserted = "".join(
        f"{{% block {block} %}}\n# own {block}, {{{{ settings.domain }}}}\n{{% endblock %}}\n"
        for block in blocks
    )
    own(name, f'{{% extends "wsdeploy/{name}" %}}\n{{# mine #}}\n{inserted}')
    render_module._environment.cache_clear()
    lines = proxys_file(settings, debian()).splitlines()
    own_lines = [line for line in lines if line.startswith("# own ")]
    assert own_lines == [f"# own {block}, {settings.domain}" for block in blocks]
    assert [line for line in lines if line not in own_lines] == before.splitlines()


def test_a_template_of_ones_own_that_is_wrong(
    make: MakeSettings, debian: MakeSurvey, own: Callable[[str, str], None]
) -> None:
    for text, said in (
        ("{% if %}", "templates/nginx/nginx.conf.j2, line 1: Expected an expression"),
        ("{{ nothing }}", "templates/nginx/nginx.conf.j2: 'nothing' is undefined"),
        ("{{ 'a' + 1 }}", "templates/nginx/nginx.conf.j2: can only concatenate"),
        ('{% extends "wsdeploy/no" %}', "templates/nginx/nginx.conf.j2: wsdeploy/no"),
        ('{% extends "nginx/nginx.conf.j2" %}', "templates/nginx/nginx.conf.j2: it extends itself"),
    ):
        own("nginx/nginx.conf.j2", text)
        render_module._environment.cache_clear()
        with pytest.raises(RenderError, match=f"^{re.escape(said)}"):
            proxys_file(make(), debian())


def test_when_templates_of_ones_own_count(tmp_path: Path, own: Callable[[str, str], None]) -> None:
    own("nginx/nginx.conf.j2", "")
    inventory, mine = str(tmp_path / "prod.py"), (tmp_path / "templates",)
    for arguments, found in (
        ([inventory, "deploy.py"], mine),
        (["--config", "/other/config.py", inventory, "deploy.py"], mine),
        # A template that is wrong is in the way of nobody who goes back.
        (["-y", inventory, "wsdeploy.rollback"], ()),
        (["-y", inventory, "wsdeploy.unlock"], ()),
        (["@local", "exec", "true"], ()),
        ([str(templates.OURS.parent / "inventory.py"), "deploy.py"], ()),
    ):
        assert templates.own(arguments) == found


def test_a_project_has_templates_and_an_inventory_others(
    make: MakeSettings,
    debian: MakeSurvey,
    own: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    comment = (
        "{{% extends 'wsdeploy/nginx/nginx.conf.j2' %}}{{% block {0} %}}# {0}\n{{% endblock %}}"
    )
    own("nginx/nginx.conf.j2", comment.format("main"))
    project = tmp_path / "inventories"
    project.mkdir()
    monkeypatch.setattr(sys, "argv", ["pyinfra", "inventories/prod.py", "deploy.py"])
    monkeypatch.chdir(tmp_path)
    render_module._environment.cache_clear()
    assert "# main\n" in proxys_file(make(), debian())
    own("../inventories/templates/nginx/nginx.conf.j2", comment.format("http"))
    render_module._environment.cache_clear()
    text = proxys_file(make(), debian())
    assert "# http\n" in text
    assert "# main\n" not in text


def test_who_rolls_back_need_not_have_the_certificate(
    make: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = make(tls=CertFiles("no/c.pem", "no/k.pem"))
    asked = components.request(settings, "one")
    assert "/var/lib/wsdeploy/sets/ws-tls.json" in asked.paths


def test_templates_that_take_the_place_of_none(
    tmp_path: Path, own: Callable[[str, str], None]
) -> None:
    own("nginx/nginx.conf.j2", "")
    own("nginx/_part.j2", "")
    own("nginx/ngnix.conf.j2", "")
    # Templates of the app, or of other deploys.
    own("index.html.j2", "")
    own("pages/nginx.conf.j2", "")
    assert list(templates.unknown(tmp_path / "templates")) == [Path("nginx/ngnix.conf.j2")]


def test_nothing_is_escaped_and_blocks_leave_no_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.j2").write_text(
        "{% if true %}\n  {% if true %}\n{{ text }}\n{% endif %}{% endif %}"
    )
    monkeypatch.setattr("wsdeploy.plan.host.render._environment", lambda _: environment(tmp_path))
    assert render("a", {"text": "<&'\">"}) == "<&'\">\n"


def test_one_line_of_nginx_for_each_process(make: MakeSettings, debian: MakeSurvey) -> None:
    content = proxys_file(make({"processes": 12}), debian())
    for number in range(12):
        assert f"server unix:/run/ws/current/ws_{number:02d}.sock max_fails=0;" in content
    assert "ws_12.sock" not in content


def test_nginx_counts_no_failures_of_servers_on_other_hosts(
    make: MakeSettings, debian: MakeSurvey
) -> None:
    """One that it counts comes back when a request to it has ended: a WebSocket, hours later."""
    content = proxys_file(make({"processes": 1}, "tiers"), debian(), "lb1")
    for server in ("10.0.0.1:8000", "[fd00::2]:8000"):
        assert f"server {server} max_fails=0;" in content


@pytest.mark.parametrize(
    ("groups", "proxy", "count", "line"),
    [
        ("alone", Nginx(), 8, "proxy_next_upstream_tries 10;"),
        ("tiers", Nginx(), 4, "proxy_next_upstream_tries 6;"),
        ("tiers", HAProxy(), 4, "retries 5"),
    ],
)
def test_how_far_one_request_may_go(
    make: MakeSettings,
    debian: MakeSurvey,
    groups: str,
    proxy: HAProxy | Nginx,
    count: int,
    line: str,
) -> None:
    settings = make({"processes": count}, groups, proxy=proxy)
    host = settings.topology.proxy[0]
    assert line in proxys_file(settings, debian(), host)


def test_who_asks_app_hosts_whether_they_are_there(make: MakeSettings, debian: MakeSurvey) -> None:
    settings = make({"processes": 2}, "tiers", proxy=Nginx())
    said = json.loads(reach.configuration(Target(settings, "lb1", debian())))
    assert said == {
        "table": "ws-reach",
        "hosts": {"10.0.0.1": [8000, 8001], "fd00::2": [8000, 8001]},
    }
    assert not reach.wanted(make(groups="tiers", proxy=HAProxy()))
    assert not reach.wanted(make(proxy=Nginx()))


def test_the_only_server_is_asked_twice_and_never_left_out(
    make: MakeSettings, tiers: MakeSettings, debian: MakeSurvey
) -> None:
    one_app_host = {"app": [("app1", {"private_address": "10.0.0.1"})]}
    for settings, host, server in (
        (make({"processes": 1}), "one", "unix:/run/ws/current/ws_00.sock"),
        (make({"listen": "shared"}), "one", "127.0.0.1:8000"),
        (tiers({"listen": "shared"}, groups=one_app_host), "lb1", "10.0.0.1:8000"),
    ):
        content = proxys_file(settings, debian(), host)
        assert content.count(f"server {server} max_fails=0;") == 2
        assert "max_fails=1" not in content


def test_the_proxys_health_check_asks_the_app(make: MakeSettings, debian: MakeSurvey) -> None:
    one, other = (proxys_file(make({"health": health}), debian()) for health in ("/alive", None))
    assert "proxy_pass http://app/alive;" in one
    assert 'return 200 "OK\\n";' in other
    assert "http://app/" not in other


@pytest.mark.parametrize("proxy", PROXIES.values())
def test_the_proxys_file_does_not_change_with_a_release(
    make: MakeSettings, debian: MakeSurvey, proxy: type[HAProxy | Nginx]
) -> None:
    # App deploys never touch the proxy.
    changed = {"env": {"A": "1"}, "drain": 99, "start_timeout": 9, "command": ["python", "x"]}
    for groups in ("alone", "tiers"):
        one, other = (make(app, groups, proxy=proxy()) for app in ({}, changed))
        host = one.topology.proxy[0]
        assert proxys_file(one, debian(), host) == proxys_file(other, debian(), host)


def test_kernel_settings_that_a_host_lacks_are_left_out_and_named(
    make: MakeSettings, debian: MakeSurvey
) -> None:
    survey = debian(sysctl={"net.core.somaxconn": "4096", "net.ipv4.tcp_migrate_req": None})
    files = system.files(Target(make(), "one", survey))
    (kernel,) = (file.content for file in files.files if "sysctl" in file.path)
    assert "net.core.somaxconn = " in kernel
    assert "tcp_migrate_req" not in kernel
    assert any("tcp_migrate_req" in note for note in files.notes)
    assert not any(
        "tcp_migrate_req" in effect for effect in system.drift(Target(make(), "one", survey))
    )


def test_what_a_host_does_not_allow_is_said(make: MakeSettings, debian: MakeSurvey) -> None:
    small, large = debian(open_files=1024, processors=1), debian()
    for plan in (supervisor.files, nginx.files):
        assert "1,024" in " ".join(plan(Target(make({"processes": 4}), "one", small)).notes)
        assert plan(Target(make(), "one", large)).notes == ()


def test_effects_that_are_undone(make: MakeSettings, debian: MakeSurvey) -> None:
    settings = make()
    wanted = {key: value for key, value, _ in system.sysctl(Target(settings, "one", debian()))}
    folders = system.folders(settings)
    assert "/var/lib/ws" in folders
    good = {"users": ("ws",), "groups": ("ws-proxy",), "sysctl": wanted, "paths": folders}
    assert system.drift(Target(settings, "one", debian(**good))) == []
    lacking = {path: folder for path, folder in folders.items() if path != "/srv/ws"}
    open_to_all = dataclasses.replace(folders["/etc/ws/tls"], mode=0o755)
    for change, complaint in (
        ({"users": ()}, "user ws"),
        ({"groups": ()}, "group ws-proxy"),
        ({"paths": lacking}, "/srv/ws"),
        ({"paths": {**folders, "/etc/ws/tls": open_to_all}}, "/etc/ws/tls"),
        ({"sysctl": wanted | {"net.core.somaxconn": "128"}}, "net.core.somaxconn"),
    ):
        assert system.drift(Target(settings, "one", debian(**good | change))) == [complaint]
    # All that is looked at is asked for.
    asked = components.request(settings, "one")
    assert set(folders) <= set(asked.paths)
    assert set(wanted) <= set(asked.sysctl)


def test_folders_that_are_made_are_those_that_are_looked_at(
    make: MakeSettings, debian: MakeSurvey
) -> None:
    files = {
        file.path: file.content for file in system.files(Target(make(), "one", debian())).files
    }
    lines = [line.split() for line in files["/etc/tmpfiles.d/ws.conf"].splitlines()]
    made = {words[1]: words[2:] for words in lines if words[0] == "d"}
    assert made == {
        path: [f"{folder.mode:04o}", folder.owner, folder.group]
        for path, folder in system.folders(make()).items()
    }


def test_packages_by_role(make: MakeSettings) -> None:
    both = set(components.packages(make(), "one"))
    assert {"python3", "supervisor", "nginx", "openssl"} <= both
    assert "nftables" in both
    settings = make(groups="tiers")
    assert set(components.packages(settings, "app1")) == {"python3", "supervisor", "nftables"}
    assert {"nginx", "openssl"} <= set(components.packages(settings, "lb1"))
    assert "supervisor" not in components.packages(settings, "lb1")
    assert "unattended-upgrades" in components.packages(make(security_updates=True), "one")
    unfiltered = make(groups="tiers", firewall=False)
    assert "nftables" not in components.packages(unfiltered, "app1")
