"""wsdeploy.capacity: one exchange with each host, a few lines about each, and nothing changed."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.plan.conftest import Converged, Deploy, MakeFleet, Run

LOUD = ("-y", "--debug")
USE = {"processes": 4, "clients": 1_000, "memory": 2**27, "cores": 0.3, "files": 10_128}
ANSWER = {
    "limits": {"open_files": 1_048_576, "processors": 2, "memory": 4 * 2**30},
    "available": 3 * 2**30,
    "files": [1_000, 9_000_000],
    "ports": 28_232,
    "tracked": [1_000, 262_144],
}


def answers(**uses: Any) -> dict[str, str]:
    return {"wsdeploy-capacity": json.dumps(ANSWER | {"uses": uses})}


@pytest.fixture
def asked(deploy: Deploy, tiers: MakeFleet, converged: Converged) -> Callable[..., tuple[Run, str]]:
    """Ask two app hosts and a proxy; return how that ended."""

    def ask(
        lb1: dict[str, str] | None = None, options: Sequence[str] = LOUD, **settings: Any
    ) -> tuple[Run, str]:
        """Return the run, and its lines without the spaces that make a column of hosts' names."""
        fleet = tiers(**settings)
        others = dict.fromkeys(fleet.names[:2], answers(app=USE))
        others["@fake/lb1"] = lb1 or answers(proxy=USE)
        what = ["wsdeploy.capacity"]
        done = deploy(fleet, converged(fleet), *options, others=others, what=what)
        return done, " ".join(done.said.split())

    return ask


@pytest.mark.parametrize("processes", [4, "auto"])
def test_hosts_and_fleet(asked: Callable[..., tuple[Run, str]], processes: int | str) -> None:
    done, said = asked(processes=processes)
    assert done.code == 0, done.said
    number = 4 if processes == 4 else 2
    has = f"2 cores, 4.0 GiB of memory, {number} processes, 1,000 clients now"
    assert f"[@fake/app1] {has}" in said
    assert "[@fake/lb1] 2 cores, 4.0 GiB of memory, 1,000 clients now" in said
    # 0.3 cores for 1,000 clients; 80 % of two.
    assert "[@fake/app2] holds 5,333 clients" in said
    assert "[@fake/lb1] holds 5,333 clients" in said
    assert f"28,232 source ports to each of {2 * number} listeners" in said
    assert said.count("2 app hosts hold 10,666 clients together, 5,333 without") == 1
    assert sorted(done.programs) == [(f"@fake/{h}", "capacity") for h in ("app1", "app2", "lb1")]
    assert done.locks == []


def test_a_proxy_that_does_not_run(asked: Callable[..., tuple[Run, str]]) -> None:
    done, said = asked(lb1=answers(proxy=None))
    assert done.code == 0, done.said
    assert "[@fake/lb1] proxy not running here; deploy first" in said
    assert "not counted: @fake/lb1" in said


def test_as_json(asked: Callable[..., tuple[Run, str]]) -> None:
    done, _ = asked(options=("-y", "--json"))
    found = json.loads(done.out)["wsdeploy"]["capacity"]
    assert found["fleet"]["app hosts"] == {"hosts": 2, "holds": 10_666, "without_largest": 5_333}
    host = found["hosts"]["@fake/app1"]
    assert (host["cores"], host["clients"], host["holds"]) == (2, 1_000, 5_333)
    assert host["limits"][0]["clients"] == 5_333
    assert host["limits"][0].keys() == {"clients", "what", "remedy"}
