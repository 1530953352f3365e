"""What podman is told of a container."""

from pathlib import Path
from typing import Any

from wsdeploy_sandbox.cluster import podman

IMAGE = {"Id": "0123", "Config": {"Entrypoint": ["/usr/bin/python3", "/srv/app.py"], "User": "app"}}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def pod(**context: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "chat", "name": "ws-1"}, "spec": {"securityContext": context}}


def test_a_restricted_container() -> None:
    security = {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532}
    given = pod(**security, seccompProfile={"type": "RuntimeDefault"})
    mount = {"name": "tls", "mountPath": "/etc/tls", "readOnly": True}
    container = {"name": "app", "securityContext": RESTRICTED, "volumeMounts": [mount]}
    words = podman.run_words(given, container, IMAGE, {"A": "1"}, {"tls": Path("/run/tls")})
    text = " ".join(words)
    for wanted in (
        "--env A=1", "--user 65532:65532", "--group-add 65532", "--cap-drop=ALL",
        "--read-only --read-only-tmpfs=false", "--security-opt no-new-privileges",
        "--volume /run/tls:/etc/tls:ro",
    ):  # fmt: skip
        assert wanted in text
    assert "seccomp=unconfined" not in text
    assert words[-4:] == ["--entrypoint", '["/usr/bin/python3"]', "0123", "/srv/app.py"]


def test_a_command_takes_the_place_of_the_images_own() -> None:
    container = {"name": "app", "command": ["python", "$(WHERE)/app.py", "$$(WHERE)"]}
    words = podman.run_words(pod(), container, IMAGE, {"WHERE": "/srv"}, {})
    assert words[-5:] == ["--entrypoint", '["python"]', "0123", "/srv/app.py", "$(WHERE)"]


def test_a_user_by_name_is_not_known_to_be_another_than_root() -> None:
    container: dict[str, Any] = {"name": "app"}
    assert podman.non_root_problem(pod(), container, IMAGE) is None
    problem = podman.non_root_problem(pod(runAsNonRoot=True), container, IMAGE)
    assert problem == "container has runAsNonRoot and image has non-numeric user (app)"
    assert podman.non_root_problem(pod(runAsNonRoot=True, runAsUser=1), container, IMAGE) is None
