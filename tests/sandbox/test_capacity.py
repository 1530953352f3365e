"""wsdeploy.capacity on a host with clients: what it says is what is there."""

import re
from collections.abc import Callable

import pytest

from tests.sandbox.site import CROWD, Site
from wsdeploy.plan.capacity.model import APP_PROCESS, MIB

COMBINATIONS = [("bookworm", "Nginx"), ("trixie", "HAProxy")]
HELD = 300


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    made = make_site(
        ["capac"], ["capac"], app='App("files/app.py", processes="auto", drain=1)', edge=CROWD
    )
    made.deploy()
    return made


def said(site: Site) -> list[str]:
    """Return what it says, without colours, names and the spaces that make columns."""
    result = site.pyinfra("-y", "wsdeploy.capacity")
    assert result.code == 0, result.output
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.output)
    return [" ".join(line.partition("] ")[2].split()) for line in text.splitlines()]


def limit(lines: list[str], word: str) -> int:
    """Return the number of clients that the line about something begins with."""
    (found,) = [line for line in lines if word in line and "->" in line]
    return int(found.split()[0].replace(",", ""))


def test_a_process_without_clients_takes_what_the_table_says(site: Site) -> None:
    # It gives nothing back, so this comes before any clients.
    text = site.ssh("cat $(pgrep --uid ws | sed 's|.*|/proc/&/smaps_rollup|') | grep ^Pss:")
    sizes = [int(line.split()[1]) * 1024 for line in text.splitlines()]
    assert all(APP_PROCESS / 3 < size < 2 * APP_PROCESS for size in sizes), sizes[0] / MIB


def test_a_process_for_each_processor(site: Site) -> None:
    processors = int(site.ssh("nproc"))
    assert site.ssh("pgrep --count --uid ws").strip() == str(max(2, processors))
    site.converged()
    site.checked()


def test_what_is_said_fits_what_is_there(site: Site) -> None:
    idle = said(site)
    assert limit(idle, "max_connections") == 10_000
    assert not [line for line in idle if "cores at" in line]
    with site.under_load(rate=20, held=HELD, echo_every=0.5):
        busy = said(site)
    (has,) = [line for line in busy if line.endswith("clients now")]
    now = int(re.findall(r"([\d,]+) clients now", has)[0])
    # Those that come and go, and the watchdog's questions, are there for a moment each.
    assert HELD <= now <= HELD + 20
    assert re.match(rf"{site.ssh('nproc').strip()} cores?, ", has)
    assert limit(busy, "cores at") > 0
    # Those who are there are in it. Other hosts on the same machine take and give memory, too.
    assert 0.8 < limit(busy, "memory") / limit(idle, "memory") < 1.2
