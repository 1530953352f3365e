"""What is said at the end of a run for a cluster."""

from typing import Any

import pytest

from wsdeploy.cluster.summary import ClusterOutcome, Report, lines
from wsdeploy.plan.summary import UNKNOWN
from wshost.requests import Serving

OLD: Serving = {"generation": "revision 1", "release": "aaaa00000000", "commit": None}
NEW: Serving = {
    "generation": "revision 2",
    "release": "bbbb00000000",
    "commit": {"id": "77ab210", "subject": "Fix typo", "changed": False},
}
SAME: Serving = OLD | {"generation": "revision 2"}
AT = "wss://ws.a-company.com/"
BOTH: dict[str, Any] = {"before": OLD, "now": NEW, "pods": 2, "drain": 30, "changed": ["a", "b"]}
STAYED: dict[str, Any] = {"before": OLD, "now": OLD, "pods": 2, "drain": 30}
RUN: dict[str, Any] = {"action": "deploy", "command": "deploy.py"}
ROLLBACK: dict[str, Any] = {"action": "rollback", "command": "wsdeploy.rollback"}

CASES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    (
        {},
        BOTH,
        [
            f'ws: release bbbb00000000 "Fix typo" (77ab210) serves at {AT} from 2 pods',
            "before: release aaaa00000000; old pods close their clients over 30 s",
            "next: pyinfra -y prod.py wsdeploy.rollback brings aaaa00000000 back",
        ],
    ),
    (
        {},
        STAYED,
        ["ws: nothing to do", f"release aaaa00000000 serves at {AT} from 2 pods"],
    ),
    (
        {},
        BOTH | {"now": SAME},
        [
            f"ws: release aaaa00000000 serves at {AT} from 2 pods",
            "before: the same with other settings (revision 1); old pods close their clients over "
            "30 s",
            "next: pyinfra -y prod.py wsdeploy.rollback brings revision 1 back",
        ],
    ),
    (
        {},
        STAYED | {"changed": list("abcdef"), "pods": 1},
        [f"ws: release aaaa00000000 serves at {AT} from 1 pod", "changed: a; b; c; d; and 2 more"],
    ),
    (
        ROLLBACK,
        BOTH | {"before": NEW, "now": OLD},
        [
            f"ws: release aaaa00000000 serves at {AT} from 2 pods",
            'before: release bbbb00000000 "Fix typo" (77ab210); old pods close their clients over '
            "30 s",
            "next: revert bbbb00000000 in the code, too; else the next deploy brings it again",
        ],
    ),
    (
        {"failed": True},
        STAYED | {"cause": "pod ws-1: the app ended with exit code 1"},
        [
            "ws: failed in namespace chat: pod ws-1: the app ended with exit code 1",
            f"release aaaa00000000 goes on serving at {AT}; no client was closed",
            "next: fix it and run pyinfra -y prod.py deploy.py",
        ],
    ),
    (
        {"failed": True} | ROLLBACK,
        STAYED | {"cause": "no", "replaced": True},
        [
            "ws: failed in namespace chat: no",
            f"release aaaa00000000 goes on serving at {AT}",
            "next: pyinfra -y prod.py wsdeploy.releases shows what serves; look first",
        ],
    ),
    (
        {"failed": True},
        STAYED | {"cause": "another run is at work", "refused": True},
        [
            "ws: failed in namespace chat: another run is at work",
            f"release aaaa00000000 goes on serving at {AT}; no client was closed",
            "next: when that has ended, pyinfra -y prod.py deploy.py; if it is gone, "
            "wsdeploy.unlock",
        ],
    ),
    (
        {"failed": True},
        {"before": None, "now": NEW, "cause": "no WebSocket", "left": "it stays"},
        [
            "ws: failed in namespace chat: no WebSocket",
            f"nothing serves at {AT} yet",
            "it stays",
            "next: fix it and run pyinfra -y prod.py deploy.py",
        ],
    ),
    (
        {"failed": True},
        {"cause": "the cluster can't be reached"},
        [
            "ws: failed in namespace chat: the cluster can't be reached",
            f"what served at {AT} goes on as it was",
            "next: fix it and run pyinfra -y prod.py deploy.py",
        ],
    ),
    (
        {"failed": True, "began": False},
        {},
        ["ws: nothing was changed"],
    ),
    (
        {"failed": True, "interrupted": True},
        STAYED | {"rolling": "ws has 0 of 2 new pods ready"},
        [
            f"ws: interrupted; release aaaa00000000 goes on serving at {AT}",
            "the cluster goes on by itself: ws has 0 of 2 new pods ready",
            "next: pyinfra -y prod.py deploy.py does what is left to do",
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("run", "report", "said"), CASES)
def test_a_run_is_summed_up(run: Any, report: Any, said: list[str]) -> None:
    given: dict[str, Any] = RUN | run
    outcome = ClusterOutcome(
        name="ws",
        namespace="chat",
        address=AT,
        inventory="prod.py",
        report=Report(**report),
        **given,
    )
    assert lines(outcome) == said
    assert ("before" in str(outcome.to_json()["cluster"])) == (
        Report(**report).before is not UNKNOWN
    )
