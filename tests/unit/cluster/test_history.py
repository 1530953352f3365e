"""What has served in a cluster, and what a rollback goes back to."""

import json
import re
import time

import pytest

from wsdeploy.cluster import found, history, release
from wsdeploy.cluster.found import Found
from wsdeploy.cluster.manifest import Object
from wsdeploy.plan.app.rollback import NoWayBackError

COMMIT = {"id": "77ab210", "subject": "Fix typo", "changed": False}


def revision(number: int, release: str, ready: int = 0, **noted: str) -> Object:
    image = f"registry.a-company.com:5000/chat:{release}-fedcba987654@sha256:{'a' * 64}"
    template = {"spec": {"containers": [{"name": "mesh", "image": "m:1"}, {"name": "app"}]}}
    template["spec"]["containers"][1]["image"] = image
    annotations = {found.REVISION: str(number)}
    annotations |= {f"wsdeploy/{name}": value for name, value in noted.items()}
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"ws-{number}",
            "annotations": annotations,
            "creationTimestamp": "2026-11-30T10:00:00Z",
            "ownerReferences": [{"kind": "Deployment", "name": "ws"}],
        },
        "spec": {"template": template},
        "status": {"replicas": ready, "readyReplicas": ready},
    }


def cluster(*sets: Object) -> Found:
    numbers = [found.revision(each) for each in sets]
    metadata = {"name": "ws", "annotations": {found.REVISION: str(max(numbers, default=0))}}
    return Found("ws", ({"kind": "Deployment", "metadata": metadata, "spec": {}}, *sets))


THREE = cluster(
    revision(2, "bbbb00000000", commit=json.dumps(COMMIT), by="me@here"),
    revision(1, "aaaa00000000"),
    revision(4, "aaaa00000000", 2, since="2026-11-30T12:00:00Z"),
)


def test_revisions_are_shown_the_newest_first() -> None:
    lines = [re.sub(" {2,}", " | ", line) for line in history.listing(history.records(THREE))]
    assert lines == [
        "REVISION | RELEASE | SINCE (UTC) | BY | PODS | COMMIT",
        "4 | aaaa00000000 | 2026-11-30 12:00:00 | 2 | live",
        "2 | bbbb00000000 | 2026-11-30 10:00:00 | me@here | 0 | previous | 77ab210 Fix typo",
        "1 | aaaa00000000 | 2026-11-30 10:00:00 | 0",
    ]
    told = history.to_json(history.records(THREE))
    assert (told["live"], told["previous"]) == (4, 2)
    assert told["records"][1]["commit"] == COMMIT


@pytest.mark.parametrize(
    ("to", "wanted"), [(None, 2), ("1", 1), ("bbbb00000000", 2), ("aaaa00000000", 4)]
)
def test_a_rollback_goes_to_the_revision_before_or_to_another(to: str | None, wanted: int) -> None:
    assert history.target(THREE, to).revision == wanted


def test_a_rollback_while_a_bad_release_waits_goes_before_what_serves() -> None:
    # Revision 3 has never become ready.
    there = cluster(revision(1, "a" * 12), revision(2, "b" * 12, 2), revision(3, "c" * 12))
    assert history.target(there, None).revision == 1


def test_a_rollback_leaves_out_what_has_never_served() -> None:
    # Revision 3 was that of a run that was killed.
    live = revision(4, "d" * 12, 2, previous="ws-2")
    there = cluster(revision(1, "a" * 12), revision(2, "b" * 12), revision(3, "c" * 12), live)
    assert history.target(there, None).revision == 2
    # What the cluster has not kept is the one before.
    without = cluster(revision(3, "c" * 12), live)
    assert history.target(without, None).revision == 3


def test_what_was_started_anew_serves_since_then() -> None:
    # kubectl rollout restart keeps the notes of the pods before.
    again = revision(2, "a" * 12, 2, since="2026-11-29T10:00:00Z")
    (record,) = history.records(cluster(again))
    assert time.strftime("%d", time.gmtime(record.since)) == "30"


def test_what_serves_goes_back_to_where_it_did_when_it_comes_back() -> None:
    live = revision(2, "b" * 12, 2, previous="ws-1")
    there = cluster(revision(1, "a" * 12), live, revision(3, "c" * 12))
    assert release.previous(there, revision(4, "d" * 12)) == "ws-2"
    assert release.previous(there, live) == "ws-1"
    assert release.previous(cluster(), live) is None


@pytest.mark.parametrize(
    ("there", "to", "line"),
    [
        (cluster(), None, "ws has no revision in the cluster; deploy first"),
        (
            cluster(revision(3, "a" * 12, 1)),
            None,
            "there is nothing to go back to from revision 3",
        ),
        (THREE, "9", "there is no revision or release 9; see wsdeploy.releases"),
    ],
)
def test_where_there_is_nothing_to_go_back_to(there: Found, to: str | None, line: str) -> None:
    with pytest.raises(NoWayBackError) as raised:
        history.target(there, to)
    assert str(raised.value) == line


def test_a_deployment_that_kubectl_has_applied_names_its_release_by_its_image() -> None:
    assert found.serving(revision(1, "aaaa00000000")) == {
        "generation": "revision 1",
        "release": "aaaa00000000",
        "commit": None,
    }
