"""One host, every way to listen, and from each to the next with clients coming in all the time."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.site import HELD, Site

COMBINATIONS = [("bookworm", "HAProxy")]


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(["listen"], ["listen"])


def app(**options: Any) -> str:
    text = "".join(f", {name}={value!r}" for name, value in options.items())
    return f'App("files/app.py", drain=2, probe=Probe(send="hello", expect="hello"){text})'


@pytest.mark.parametrize(
    "options",
    [
        {"listen": "unix", "processes": 2},
        {"listen": "unix", "processes": 4},
        {"listen": "tcp", "processes": 4},
        {"listen": "tcp", "processes": 2, "port": 8100},
        {"listen": "shared", "processes": 3, "port": 8100},
        {"listen": "tcp", "processes": 3, "reuse_port": False},
        {"listen": "tcp", "processes": 3, "reuse_port": False, "env": {"COLOUR": "green"}},
        {"listen": "unix", "processes": 3},
    ],
    ids=lambda options: "-".join(str(value) for value in options.values()),
)
def test_every_step_refuses_nobody_and_leaves_nothing(site: Site, options: dict[str, Any]) -> None:
    first = not site.bundle.exists()
    if first:
        site.deploy(app=app(**options))
    else:
        with site.under_load() as outcome:
            site.deploy(app=app(**options))
        assert outcome["failed"] == {}
        assert outcome["passed"] > 0
        assert outcome["codes"] == {"1012": HELD}
    site.converged()
    site.echoes()
    assert site.ssh("ls /etc/supervisor/conf.d | wc -l").strip() == "2", (
        "Supervisor's file, and what describes the generation"
    )
    assert site.ssh("ls /run/ws | wc -l").strip() == "2"
    status = site.ssh("supervisorctl status").splitlines()
    assert len(status) == options["processes"]


def test_checks_of_the_fleet_on_tcp(site: Site) -> None:
    site.deploy(app=app(listen="tcp", processes=2))
    site.checked()


def test_checks_of_the_fleet_on_a_shared_port(site: Site) -> None:
    site.deploy(app=app(listen="shared", processes=2))
    site.checked()
