"""A host that leaves the fleet, by a run that knows no more of it than its name."""

import re
from collections.abc import Callable

import pytest

from tests.sandbox.site import Site

COMBINATIONS = [("trixie", "HAProxy")]
APP = 'App("files/app.py", listen="tcp", processes=2, drain=1)'


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(
        ["removal"],
        ["removal"],
        bare=True,
        app=APP,
    )


def test_nothing_is_left(site: Site) -> None:
    before = site.ssh("find / -xdev | sort").split()
    site.deploy()
    site.echoes()
    # Of what the inventory says, no more than the name has to be right.
    site.write(app='App("gone.py", drain=1)', proxy="Nginx()")
    result = site.pyinfra("-y", "wsdeploy.remove", "data=delete")
    assert result.code == 0, result.output
    site.write(app=APP, proxy="HAProxy()")

    assert site.ssh("pgrep --list-full --uid ws || true; getent passwd ws || true") == ""
    assert site.ssh("getent group ws-proxy || true; nft list tables") == ""
    failed = site.ssh("systemctl list-units --all --plain --no-legend 'ws*' nginx haproxy")
    assert "running" not in failed
    assert "failed" not in failed
    found = set(site.ssh("find / -xdev | sort").split()) - set(before)
    ours = re.compile(r"/ws([-./_]|$)|-ws\b|wsdeploy|[0-9a-f]{12}\.env")
    assert [path for path in sorted(found) if ours.search(path)] == []
    assert site.ssh("ls /run/ws 2>&1 || true").startswith("ls: cannot access")
    # It can be deployed to again.
    site.deploy()
    site.echoes()
    site.converged()
