"""What `wsdeploy render` shows is what a run sends."""

import hashlib

from tests.plan.conftest import Converged, Deploy, MakeFleet
from wsdeploy.preview import Assumed, files


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_host_that_has_what_is_shown_needs_no_change(
    deploy: Deploy, alone: MakeFleet, converged: Converged, proxy: str
) -> None:
    """test_deploy.py shows that a run changes nothing on these hosts, and that it sees a change."""
    fleet = alone(proxy=proxy)
    there = converged(fleet)["@fake/one"]["paths"]
    shown = {each.file.path: each.file for each in files(fleet.settings, "@fake/one", Assumed())}
    assert len(shown) > 20
    for path, file in shown.items():
        assert there[path] == {
            "kind": "file",
            "mode": file.mode,
            "owner": file.owner,
            "group": file.group,
            "sha256": digest(file.content),
        }, path
    others = {path for path, entry in there.items() if entry["kind"] == "file"} - shown.keys()
    # What wsdeploy notes down for itself, and what the host makes: certificates.
    own = ("/var/lib/wsdeploy/", "/run/wsdeploy/", "/etc/ws/tls/")
    assert [path for path in others if not path.startswith(own)] == []


def test_tiers_are_shown_as_they_are(tiers: MakeFleet, converged: Converged) -> None:
    fleet = tiers(processes="auto")
    surveys = converged(fleet)
    for host in fleet.names:
        for each in files(fleet.settings, host, Assumed()):
            found = surveys[host]["paths"][each.file.path]
            assert found["sha256"] == digest(each.file.content), each.file.path
