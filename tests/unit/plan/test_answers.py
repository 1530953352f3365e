"""What hosts tell, of whatever shape it is."""

from typing import Any

import pytest

from wsdeploy.plan import answers
from wsdeploy.plan.app.rollback import History, listing

COMMIT = {"id": "4f0c9de", "subject": "Add rooms", "changed": False}
SERVES = {"generation": "5b0e8d2c91aa", "release": "c04d1f6a8e77", "commit": COMMIT}
DRAIN = {"left": 23, "of": 50, "seconds": 14.2, "at_most": 60}
GATE = {"healthy": 1, "of": 2, "seconds": 0.5}


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"drain": DRAIN}, {"drain": DRAIN}),
        ({"gate": GATE, "drain": None}, {"gate": GATE}),
        ({"served": SERVES, "serves": SERVES}, {"served": SERVES, "serves": SERVES}),
        ({"serves": SERVES | {"commit": 5}}, {"serves": SERVES | {"commit": None}}),
        ({"serves": SERVES | {"release": 5}}, {}),
        ({"serves": "all"}, {}),
        ({"another": 1}, {}),
        ({"reached": True}, {"reached": True}),
        ({"reached": 1}, {}),
        ({"drain": {"left": 23}}, {}),
        ({"drain": DRAIN | {"left": "23"}}, {}),
        ({"drain": DRAIN | {"at_most": float("inf")}}, {}),
        ({"drain": DRAIN | {"at_most": float("nan")}}, {}),
        ({"drain": DRAIN | {"seconds": 10**400}}, {}),
        ({"gate": [1, 2, 3]}, {}),
        ([], {}),
        (5, {}),
        (None, {}),
    ],
)
def test_news(told: object, wanted: object) -> None:
    assert answers.progress(told) == wanted


@pytest.mark.parametrize("commit", [5, "4f0c9de", [COMMIT], {"id": "4f0c9de"}, COMMIT | {"id": 5}])
def test_a_commit_that_is_none(commit: object) -> None:
    record: dict[str, Any] = {
        **SERVES, "commit": commit, "version": "v", "listen": "unix:/run/ws/x", "processes": 4,
        "deployed": 1.0, "since": 2.0, "by": "anna@laptop",
    }  # fmt: skip
    answer = {"live": SERVES["generation"], "previous": None, "records": [record]}
    history = History.from_json(answer)
    assert history.records[0].commit is None
    assert len([*listing(history)]) == 2
