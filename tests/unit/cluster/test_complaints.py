"""What kubectl says when it fails, in a line."""

import pytest

from wsdeploy.cluster import complaints

SAID = [
    (
        'E1130 21:27:48.090888   27058 memcache.go:265] "Unhandled Error" err="couldn\'t get '
        'current server API group list: connection refused"\n'
        "The connection to the server localhost:8080 was refused - did you specify the right host "
        "or port?\n",
        "the cluster of context prod can't be reached: The connection to the server "
        "localhost:8080 was refused - did you specify the right host or port?",
        "unreachable",
    ),
    (
        'error: context "prod" does not exist\n',
        "kubectl knows no context prod; kubectl config get-contexts shows those that there are",
        "other",
    ),
    (
        "Error in configuration: context was not found for specified context: prod\n",
        "kubectl knows no context prod; kubectl config get-contexts shows those that there are",
        "other",
    ),
    (
        'Error from server (NotFound): namespaces "chat" not found\n',
        "there is no namespace chat; make it: kubectl create namespace chat",
        "other",
    ),
    (
        'error: resource mapping not found for name: "ws" namespace: "chat" from "STDIN": no '
        'matches for kind "HTTPRoute" in version "gateway.networking.k8s.io/v1"\nensure CRDs are '
        "installed first\n",
        "the cluster of context prod knows no HTTPRoute (gateway.networking.k8s.io/v1); install "
        "what brings it",
        "other",
    ),
    (
        "error: You must be logged in to the server (Unauthorized)\n",
        "the cluster of context prod does not know who you are: You must be logged in to the "
        "server (Unauthorized); log in to it as for kubectl",
        "other",
    ),
    (
        'Error from server (Forbidden): secrets is forbidden: User "me" cannot list resource '
        '"secrets" in API group "" in the namespace "chat"\n',
        'the cluster of context prod does not allow it: secrets is forbidden: User '
        '"me" cannot list resource "secrets" in API group "" in the namespace "chat"',
        "other",
    ),
    (
        'Warning: policy/v1beta1 is old\nThe Deployment "ws" is invalid: spec.selector: Invalid '
        "value: field is immutable\n",
        'kubectl: The Deployment "ws" is invalid: spec.selector: Invalid value: field is immutable',
        "other",
    ),
    (
        'Error from server (AlreadyExists): error when creating "STDIN": leases "ws-deploy" '
        "already exists\n",
        'kubectl: error when creating "STDIN": leases "ws-deploy" already exists',
        "exists",
    ),
    (
        "Error from server (Conflict): the object has been modified\n",
        "kubectl: the object has been modified",
        "conflict",
    ),
    ("", "kubectl: it did not say why", "other"),
    ("error: a\x1b[2Jb\n", "kubectl: a\\x1b[2Jb", "other"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "line", "why"), SAID, ids=[line for _, line, _ in SAID])
def test_a_complaint_is_a_line_that_says_what_to_do(said: str, line: str, why: str) -> None:
    found = complaints.read(said, "chat", "prod")
    assert (found.line, found.why) == (line, why)


def test_the_current_context_has_no_name_here() -> None:
    found = complaints.read("Unable to connect to the server: EOF\n", "chat", None)
    assert found.line.startswith("the cluster can't be reached: ")
