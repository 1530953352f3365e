"""A removal knows all that a deployment makes on a host."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from tests.unit.plan.test_rendering import PROXIES, SETTINGS
from wsdeploy.plan import components
from wsdeploy.plan.components import COMPONENTS
from wsdeploy.plan.target import Target

# Written out, so that the plan and its tests can't agree on a mistake.
LEAVES = [
    "/etc/tmpfiles.d/ws-generation.conf",
    "/run/wsdeploy/ws-supervisor.service",
    "/usr/local/lib/ws-watchdog",
    "/usr/local/lib/ws-leaving",
    "/usr/local/lib/ws-reach",
    "/run/wsdeploy/ws-nginx.service",
    "/var/log/nginx/ws.log*",
    "/run/wsdeploy/ws-haproxy.service",
    "/usr/local/lib/ws-acme",
    "/usr/local/lib/ws-metrics",
]


def test_what_is_there_beyond_sets_of_files(make: MakeSettings) -> None:
    assert components.leaves(make()) == LEAVES


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("case", [*SETTINGS, "tiers with as many processes as processors"])
def test_no_folder_of_programs_is_left(
    make: MakeSettings,
    debian: MakeSurvey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
    case: str,
) -> None:
    """Files go by the markers of their sets; the folders that were made for them do not."""
    monkeypatch.chdir(tmp_path)
    for file in ("c.pem", "k.pem"):
        Path(file).write_text("")
    changes = SETTINGS.get(case, {"groups": "tiers", "app": {"processes": "auto"}})
    settings = make(**changes | {"proxy": PROXIES[proxy](), "name": "ws"})
    made: set[str] = set()
    for host in {*settings.topology.app, *settings.topology.proxy}:
        target = Target(settings, host, debian())
        parts = [each for each in COMPONENTS if each.on(target) and each.wanted(target)]
        made |= {file.path for each in parts for file in each.files(target).files}
        assert {each.unit(settings) for each in parts if each.unit} <= {
            *components.units(settings),
            *components.debian_units(settings),
        }
    gone = [*components.leaves(settings), "/etc/ws"]
    # All other folders are Debian's.
    ours = [path for path in made if path.startswith(("/usr/local/", "/opt/", "/srv/", "/var/"))]
    assert not [path for path in ours if not any(fnmatch(path, f"{each}/*") for each in gone)]


def test_units_stop_in_this_order(make: MakeSettings) -> None:
    assert components.units(make()) == [
        "ws-metrics.socket",
        "ws-certificate.timer",
        "ws-addresses.service",
        "ws-reach.service",
        "ws-internal.service",
        "ws-leaving.service",
        "ws-watchdog.service",
        "ws-firewall.service",
    ]


def test_units_of_debians_that_get_back_what_they_did_before(make: MakeSettings) -> None:
    assert components.debian_units(make()) == [
        "supervisor.service",
        "nginx.service",
        "haproxy.service",
        "keepalived.service",
    ]
