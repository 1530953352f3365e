"""Who else is on a host is said before anything is changed, all of it, with a way out."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy import HAProxy, Nginx
from wsdeploy.plan.host import neighbours
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import PathState, Process, Survey
from wsdeploy.plan.target import Target

NOTHING = {
    "services": [],
    "proxies": {"nginx": [], "haproxy": []},
    "ports": {},
    "filters": [],
    "folders": [],
}


Find = Callable[..., list[str]]


@pytest.fixture
def findings(make: MakeSettings, debian: MakeSurvey) -> Find:
    def find(
        around: dict[str, Any] | None = None,
        host: str | None = None,
        survey: Survey | None = None,
        **settings: Any,
    ) -> list[str]:
        made = make(**settings)
        looked = dataclasses.replace(
            survey or debian(), neighbours=None if around is None else NOTHING | around
        )
        return neighbours.findings(Target(made, host or made.topology.proxy[0], looked))

    return find


def test_nobody(findings: Find) -> None:
    assert findings({}) == findings(None) == []


@pytest.mark.parametrize(
    ("around", "words"),
    [
        ({"services": ["chat"]}, "the service chat of another inventory is here"),
        ({"proxies": {"nginx": ["/etc/nginx/sites-enabled/blog"]}}, "sites-enabled/blog), and its"),
        ({"ports": {"443": "apache2.service"}}, "port 443 is taken by apache2.service: stop it"),
        (
            {"filters": [{"table": "ip filter", "chain": "INPUT", "numbers": [22]}]},
            "the packet filter ip filter drops what it does not allow (chain INPUT), and says "
            "nothing of TCP 80, 443",
        ),
        ({"folders": ["/srv/ws"]}, "/srv/ws: there already, and not by a deployment"),
    ],
)
def test_each(findings: Find, around: dict[str, Any], words: str) -> None:
    (found,) = findings(around)
    assert words in found


def test_what_is_no_obstacle(findings: Find) -> None:
    open_ports = {"filters": [{"table": "inet f", "chain": "in", "numbers": [22, 80, 443]}]}
    assert findings(open_ports) == []
    assert findings({"ports": {"80": "nginx.service", "443": "nginx.service"}}) == []
    assert findings({"proxies": {"haproxy": ["/etc/haproxy/haproxy.cfg"]}}) == []
    assert findings({"ports": {"80": "nginx.service"}}, proxy=HAProxy()) != []
    assert findings({"proxies": {"nginx": ["/a"]}}, take_over=True) == []
    # An app host's nginx is none of our business.
    assert findings({"proxies": {"nginx": ["/a"]}}, host="app1", groups="tiers") == []


def test_the_other_proxy_of_a_deployment_before(
    findings: Find, debian: MakeSurvey, make: MakeSettings
) -> None:
    survey = debian()
    marker = FileSet("ws-nginx", ()).marker.path
    there = PathState("file", 0o644, "root", "root")
    survey = dataclasses.replace(survey, paths={**survey.paths, marker: there})
    assert findings({"ports": {"443": "nginx.service"}}, survey=survey, proxy=HAProxy()) == []


def test_other_programs_under_supervisor(findings: Find, debian: MakeSurvey) -> None:
    worker = Process(group="worker", name="worker", statename="RUNNING", pid=1, start=1)
    own = dataclasses.replace(worker, group="ws-0123456789ab")
    survey = dataclasses.replace(debian(), processes=(worker, own))
    (found,) = findings({}, survey=survey)
    assert "Supervisor runs other programs (worker)" in found
    assert findings({}, survey=survey, take_over=True) == []


def test_users_and_groups_of_somebody(findings: Find, debian: MakeSurvey) -> None:
    survey = dataclasses.replace(debian(), users=("ws",), groups=("ws",))
    (found,) = findings({"folders": ["/etc/ws"]}, survey=survey)
    assert found.startswith("user ws, group ws, /etc/ws: there already")
    marker = FileSet("ws-system", ()).marker.path
    there = PathState("file", 0o644, "root", "root")
    again = dataclasses.replace(survey, paths={**survey.paths, marker: there})
    assert findings({"folders": ["/etc/ws"]}, survey=again) == [], "those are ours"


@pytest.mark.parametrize(
    ("system", "found"),
    [
        ({"id": "ubuntu", "version": "24.04"}, ["it runs ubuntu 24.04, and this is for Debian 12"]),
        ({"id": "debian", "version": "11"}, ["it runs debian 11, and this is for Debian 12"]),
        ({"id": "debian", "version": "13"}, []),
    ],
)
def test_the_system(
    findings: Find, debian: MakeSurvey, system: dict[str, str], found: list[str]
) -> None:
    survey = dataclasses.replace(debian(), system=system)
    lines = findings(None, survey=survey)
    assert [line.partition(" and 13")[0] for line in lines] == found


def test_what_is_taken_over_is_named(make: MakeSettings, debian: MakeSurvey) -> None:
    around = NOTHING | {"proxies": {"nginx": ["/etc/nginx/nginx.conf"], "haproxy": []}}
    survey = dataclasses.replace(debian(), neighbours=around)
    settings = make(take_over=True, proxy=Nginx())
    assert neighbours.kept(Target(settings, "one", survey)) == [
        "/etc/nginx/nginx.conf was there before; it stays under /var/lib/wsdeploy/before"
    ]
    assert neighbours.kept(Target(make(), "one", survey)) == []
