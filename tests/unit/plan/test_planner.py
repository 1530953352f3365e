"""How many hosts a number of clients needs: by hand, and as in the documentation."""

import re

import pytest
from click.testing import CliRunner

from tests.unit.docs import pages
from wsdeploy.cli import main
from wsdeploy.plan.capacity import planner
from wsdeploy.plan.capacity.model import MIB
from wsdeploy.plan.capacity.planner import ALONE, TIERS, Demand, Size, need

PAGE = pages.PAGES["docs/operate/capacity.md"]


def test_cores_by_hand() -> None:
    # 80 % of 2 cores, 1.05 messages and pings a second of 74 µs: 20,592 clients.
    found = need(Demand(30_000, messages=1), ALONE[0], Size(2, 64))
    assert (found.holds, found.by) == (20_592, "cores")
    assert found.hosts == 3
    # The work of 2.33 cores, on three hosts of two.
    assert found.busy == pytest.approx(2.331 / 6)


def test_memory_by_hand() -> None:
    # 90 % of 4 GiB, less 300 MiB and twice two processes of 17: 3,318 MiB. A client takes 53 KiB of
    # nginx, 9 of the kernel and twice 48 of the app.
    found = need(Demand(1), ALONE[0], Size(2, 4))
    assert found.by == "memory"
    assert abs(found.holds - 3_318.4 * 1024 / 158) < 2


def test_tiers_share_the_work() -> None:
    proxies, apps = (need(Demand(100_000, messages=2), tier, Size(4, 64)) for tier in TIERS)
    alone = need(Demand(100_000, messages=2), ALONE[0], Size(4, 64))
    # Together they have the work of a host that is both.
    assert 1 / proxies.holds + 1 / apps.holds == pytest.approx(1 / alone.holds, rel=1e-3)


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_those_who_are_left_hold_all_clients(lost: int) -> None:
    for clients in (1, 21_506, 21_507, 1_000_000):
        found = need(Demand(clients, lost=lost), ALONE[0], Size(2, 4))
        assert (found.hosts - lost) * found.holds >= clients
        assert (found.hosts - lost - 1) * found.holds < clients
        assert (found.back > 0) == (lost > 0)


MEASURED = [
    # The host of docs/operate/capacity.md, of an earlier day.
    ("Nginx", 0.5, 35_118),
    # What control groups counted over 25 s, on hosts of two cores with two processes: on one host,
    # on each of two, and on the one that was left with the clients of both. Medians of 3, 6 and 3.
    ("Nginx", 1, 19_441),
    ("Nginx", 1, 23_793),
    ("Nginx", 1, 23_529),
    ("HAProxy", 1, 17_467),
    ("HAProxy", 1, 16_854),
    ("HAProxy", 1, 19_231),
]


@pytest.mark.parametrize(("proxy", "messages", "clients"), MEASURED)
def test_it_is_near_what_was_measured(proxy: str, messages: float, clients: int) -> None:
    found = need(Demand(1, messages, proxy=proxy), ALONE[0], Size(2, 1024))
    assert found.by == "cores"
    assert abs(found.holds / clients - 1) < 0.15


def run(*options: str) -> str:
    done = CliRunner().invoke(main, ["capacity", *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_says_what_the_page_says() -> None:
    (command,) = [it for it in pages.blocks(PAGE, "sh") if "wsdeploy capacity" in it]
    assert run(*command.split()[2:]) in pages.blocks(PAGE, "text")


def test_options() -> None:
    said = run(
        "--clients", "1000", "--tiers", "--proxy", "haproxy", "--cores", "3", "--memory", "5"
    )
    assert said.startswith("1,000 clients, each 0 messages a second, 1 lost; HAProxy, compression")
    assert len(re.findall(r"^2 +3 cores, 5 GiB ", said, re.MULTILINE)) == 2
    assert "takes its clients with it" in run("--clients", "1000", "--lost", "0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cores", "3"], "--memory: missing; give both, or neither\n"),
        (["--memory", "3"], "--cores: missing; give both, or neither\n"),
        (
            ["--cores", "1", "--memory", "0.1"],
            "a host with 1 cores, 0.1 GiB holds no client; give a larger one\n",
        ),
    ],
)
def test_mistakes(options: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["capacity", "--clients", "1", *options])
    assert (done.exit_code, done.output) == (1, said)


def test_the_formulas_of_the_page_have_the_numbers_of_the_source() -> None:
    assert f"| {planner.APP_MESSAGE * 1e6:.0f} µs |" in PAGE
    for number in planner.PROXY_MESSAGE.values():
        assert f"{number * 1e6:.0f} µs" in PAGE
    handshakes = (planner.APP_HANDSHAKE * 1e3, planner.PROXY_HANDSHAKE * 1e3)
    assert "| {:.1f} and {:.1f} ms |".format(*handshakes) in PAGE
    assert f"{planner.SYSTEM // MIB} MiB" in PAGE
    assert f"{planner.OPEN_FILES:,}" in PAGE
