"""The commands that clear a host know every file that a deployment makes.

They are in docs/guides/topologies.md.
"""

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from tests.unit.plan.test_rendering import PROXIES, SETTINGS, everything
from wsdeploy.plan import components
from wsdeploy.plan.components import COMPONENTS
from wsdeploy.plan.target import Target

COMMANDS = re.findall(
    r"<!-- removal -->\s+```sh\n(.*?)```",
    (Path(__file__).parents[3] / "docs" / "guides" / "topologies.md").read_text(),
    re.DOTALL,
)[0]

# They stay with their packages.
OF_PACKAGES = {"/etc/nginx/nginx.conf", "/etc/haproxy/haproxy.cfg"}


def removed(path: str) -> bool:
    words = shlex.split(COMMANDS, comments=True)
    patterns = [word for word in words if word.startswith("/")]
    return any(fnmatch(path, each) or fnmatch(path, f"{each}/*") for each in patterns)


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("case", [*SETTINGS, "tiers with as many processes as processors"])
def test_every_file_is_removed(
    make: MakeSettings,
    debian: MakeSurvey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
    case: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("c.pem", "k.pem"):
        Path(file).write_text("")
    changes = SETTINGS.get(case, {"groups": "tiers", "app": {"processes": "auto"}})
    settings = make(**changes | {"proxy": PROXIES[proxy](), "name": "ws"})
    made = set(everything(settings, debian()))
    units: set[str] = set()
    for host in {*settings.topology.app, *settings.topology.proxy}:
        target = Target(settings, host, debian())
        parts = [each for each in COMPONENTS if each.on(target) and each.wanted(target)]
        made |= {file.path for each in parts for file in each.files(target).files}
        units |= {each.unit(settings).removesuffix(".service") for each in parts if each.unit}
    assert sorted(path for path in made - OF_PACKAGES if not removed(path)) == []
    assert units <= set(shlex.split(COMMANDS.replace(";", " "), comments=True))


def test_units_stop_in_this_order(make: MakeSettings) -> None:
    assert components.units(make()) == [
        "ws-certificate.timer",
        "ws-reach.service",
        "ws-internal.service",
        "ws-watchdog.service",
        "ws-firewall.service",
    ]
