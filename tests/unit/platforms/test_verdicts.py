"""What platforms keep of the settings: nothing is dropped in silence."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.platforms.conftest import MADE, every_platform, made
from wsdeploy.platforms import verdicts
from wsdeploy.settings import Acme, Behind, Edge, Firewall, FromEnv, HAProxy, Nginx
from wsdeploy.settings.platforms import (
    PLATFORMS,
    Dokku,
    Fly,
    Heroku,
    Koyeb,
    Platform,
    Render,
)

NO_EDGE = "on Heroku, the platform's router has no such rule; let the app do it, and leave it out"


@every_platform
def test_every_setting_has_a_verdict(where: Platform) -> None:
    names = {name for name, _, _ in verdicts.settings_of(made())}
    assert len(names) > 40
    assert verdicts.verdicts(type(where)).keys() == names


@every_platform
def test_defaults_are_refused_nowhere(where: Platform) -> None:
    assert [*verdicts.problems(made(), where)] == []


@pytest.mark.parametrize(
    ("app", "more", "line"),
    [
        ({"processes": 4}, {}, "app.processes: 4 given; on Heroku, an instance has one process; "
         "leave it out, and say instances there"),
        ({"listen": "shared"}, {}, "app.listen: 'shared' given; on Heroku, an instance is given "
         'one port; leave it out, or give "tcp"'),
        ({"port": 9000}, {}, "app.port: 9000 given; on Heroku, the platform gives the port; leave "
         "it out"),
        ({"writable": ["/srv/x"]}, {}, "app.writable: ('/srv/x',) given; on Heroku, what an "
         "instance writes is lost with it; keep it elsewhere"),
        ({"ping_interval": 55}, {}, "app.ping_interval: 55 given; Heroku cuts connections without "
         "a byte for 55 s; give at most 50"),
        ({"env": {"PORT": "1"}}, {}, "app.env: 'PORT' given; Heroku sets this variable itself"),
        ({"secrets": {"PORT": FromEnv("PORT")}}, {}, "app.secrets: 'PORT' given; Heroku sets this "
         "variable itself"),
        ({"command": ["x", "$WS_SOCKET"]}, {}, "app.command: '$WS_SOCKET' given; an instance has "
         "no unix socket; use $WS_HOST and $WS_PORT"),
        ({}, {"hosts_at_once": 2}, "hosts_at_once: 2 given; on Heroku, the platform replaces "
         "instances in its own order; leave it out"),
        ({}, {"internal_tls": True}, "internal_tls: True given; on Heroku, there are no tiers "
         "there; leave it out"),
        ({}, {"take_over": True}, "take_over: True given; on Heroku, a new app has nothing to "
         "take over; leave it out"),
        ({}, {"firewall": Firewall(allow=["tcp/9100"])}, "firewall: Firewall(ssh_from=(), "
         "allow=('tcp/9100',)) given; on Heroku, nothing but the platform's router reaches the "
         "app; leave it out"),
        ({}, {"edge": Edge(paths=["/*"])}, f"edge.paths: ('/*',) given; {NO_EDGE}"),
        ({}, {"edge": Edge(plain_paths=["/x"])}, f"edge.plain_paths: ('/x',) given; {NO_EDGE}"),
        ({}, {"edge": Edge(connections=5)}, f"edge.connections: 5 given; {NO_EDGE}"),
        ({}, {"edge": Edge(handshakes_per_second=5)},
         f"edge.handshakes_per_second: 5 given; {NO_EDGE}"),
        ({}, {"edge": Edge(header_size=1024)}, f"edge.header_size: 1024 given; {NO_EDGE}"),
        ({}, {"edge": Edge(unlimited_networks=["10.0.0.0/8"])},
         "edge.unlimited_networks: ('10.0.0.0/8',) given; on Heroku, there are no limits to be "
         "free of; leave it out"),
    ],
)  # fmt: skip
def test_what_a_platform_can_not_keep_is_refused(
    app: dict[str, Any], more: dict[str, Any], line: str
) -> None:
    assert [str(each) for each in verdicts.problems(made(app, **more), MADE[Heroku])] == [line]


def test_a_balancer_in_front_is_the_platforms_own() -> None:
    behind = Behind(["10.0.0.0/8"], "x-forwarded-for")
    [problem] = verdicts.problems(made(edge=Edge(behind=behind)), MADE[Fly])
    assert problem.setting == "edge.behind"
    assert problem.message.endswith("on Fly, the platform's router is the balancer; leave it out")


def test_values_that_say_what_a_platform_does_anyway_are_not_refused() -> None:
    settings = made({"processes": 1, "listen": "tcp"}, firewall=False)
    assert [*verdicts.problems(settings, MADE[Heroku])] == []


@pytest.mark.parametrize(
    ("where", "given", "there"),
    [
        (Heroku(), 30, 12),
        (Heroku(settle=0), 30, 17),
        (Heroku(), 10, 10),
        (MADE[Koyeb], 30, 12),
        (Render(), 287, 287),
        (Render(settle=7), 600, 280),
        (Fly(), 600, 282),
        (MADE[Dokku], 3600, 3600),
    ],
)
def test_a_drain_has_what_a_platform_leaves_it(where: Platform, given: float, there: float) -> None:
    settings = made({"drain": given})
    assert verdicts.drain_of(settings.app, where) == there
    said = [line for line in verdicts.notes(settings, where) if line.startswith("app.drain: ")]
    assert len(said) == (given != there)


def test_a_shorter_drain_is_named_with_what_was_given_and_what_is_kept() -> None:
    assert next(verdicts.notes(made(), Heroku())) == (
        "app.drain: 30 s given; Heroku kills an instance 30 s after SIGTERM, so it is 12 s there, "
        "after 5 s of settle"
    )


def test_what_hosts_have_without_being_told_is_named() -> None:
    settings = made({"drain": 1}, tls=Acme(email="ops@a-company.com"))
    assert [*verdicts.notes(settings, Heroku())] == [
        "what hosts have and Heroku has not: a limit for each client's address, a WebSocket before "
        "clients come, a watchdog; the firewall is its own",
        "tls: Acme(...) is not kept; the platform's own certificate, for the same names",
    ]


def test_what_a_platform_does_in_its_own_way_is_named_if_it_was_asked_for() -> None:
    asked = {"drain": 1, "hang_timeout": 5, "shutdown_drain": 3, "start_timeout": 60}
    settings = made(asked, proxy=HAProxy(), security_updates=True)
    named = [line for line in verdicts.notes(settings, Heroku()) if " is not kept; " in line]
    assert [re.sub(":.*;", ":", line) for line in named] == [
        "tls: the platform's own certificate, for the same names",
        "proxy: the platform's own router",
        "security_updates: the platform's own images",
        "app.shutdown_drain: an instance that goes drains as for a release",
        "app.start_timeout: 60 s, until it listens",
        "app.hang_timeout: no watchdog",
    ]
    assert not [line for line in verdicts.notes(made(proxy=Nginx()), Heroku()) if "proxy" in line]


def test_the_guide_names_the_longest_drain_of_each_platform() -> None:
    text = (Path(__file__).parents[3] / "docs/guides/platforms.md").read_text()
    (line,) = re.findall(r"^\| Longest `drain`.*$", text, re.MULTILINE)
    numbers = [float(each.strip().replace(",", "")) for each in line.split("|")[2:-1]]
    longest = [verdicts.drain_of(made({"drain": 3600}).app, MADE[each]) for each in PLATFORMS]
    assert numbers == longest
