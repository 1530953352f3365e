"""A host that leaves the fleet, by the commands of docs/guides/topologies.md."""

import re
from collections.abc import Callable

import pytest

from tests.sandbox.site import PROJECT, Site

COMBINATIONS = [("trixie", "HAProxy")]


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(
        ["removal"],
        ["removal"],
        bare=True,
        app='App("files/app.py", listen="tcp", processes=2, drain=1)',
    )


def test_nothing_is_left(site: Site) -> None:
    before = site.ssh("find / -xdev | sort").split()
    site.deploy()
    site.echoes()
    text = (PROJECT / "docs" / "guides" / "topologies.md").read_text()
    (commands,) = re.findall(r"<!-- removal -->\s+```sh\n(.*?)```", text, re.DOTALL)
    site.ssh(f"set -eu\n{commands}")

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
