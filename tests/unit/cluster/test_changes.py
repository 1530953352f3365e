"""What a run would change in a cluster, and what goes afterwards."""

import copy
from typing import Any

import pytest

from tests.unit.cluster.conftest import WAYS, Plan, every, one
from wsdeploy import FromEnv
from wsdeploy.cluster import changes, found
from wsdeploy.cluster.changes import Change, DroppedError, ForeignError, MissingError
from wsdeploy.cluster.found import KINDS, Found, key
from wsdeploy.cluster.manifest import Object


def live(each: Object, **metadata: Any) -> Object:
    """An object as a cluster has it."""
    server = {"uid": "1", "resourceVersion": "7", "creationTimestamp": "2026-11-30T10:00:00Z"}
    own = copy.deepcopy(each)
    return own | {"metadata": own["metadata"] | server | metadata, "status": {"a": 1}}


def named(kind: str, name: str, **more: Any) -> Object:
    labels = {found.NAME: "ws", found.MANAGED: found.MANAGER}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels}, **more}


def pods_of(config: str, secret: str = "") -> Object:
    """A template for pods that name a ConfigMap, and a Secret."""
    container: Object = {"name": "app", "envFrom": [{"configMapRef": {"name": config}}]}
    if secret:
        source = {"secretKeyRef": {"name": secret, "key": "A"}}
        container["env"] = [{"name": "A", "valueFrom": source}]
    return {"spec": {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}}


def replica_set(revision: int, template: Object, replicas: int = 0, name: str = "ws") -> Object:
    owner = {"kind": "Deployment", "name": name}
    metadata = {
        "name": f"{name}-{revision}",
        "annotations": {found.REVISION: str(revision)},
        "ownerReferences": [owner],
    }
    spec = {"template": template, "replicas": replicas}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_object_is_one_that_is_looked_for(plan: Plan, way: str) -> None:
    target = plan(way, metrics_namespace="monitoring", app={"secrets": {"A": FromEnv("HOME")}})
    assert {each["kind"] for each in every(target)} <= KINDS.keys()


@pytest.mark.parametrize("way", WAYS)
def test_what_is_as_planned_does_not_change(plan: Plan, way: str) -> None:
    wanted = every(plan(way))
    there = Found("ws", tuple(live(each) for each in wanted))
    planned = [live(each, resourceVersion="8", generation=2) for each in wanted]
    assert changes.changes(wanted, there, planned) == []
    planned[0]["metadata"]["labels"]["a"] = "b"
    (change,) = changes.changes(wanted, there, planned)
    assert (change.verb, change.title) == ("modify", "ServiceAccount ws")


@pytest.mark.parametrize("way", WAYS)
def test_what_pods_need_comes_before_them_and_what_lets_clients_in_last(
    plan: Plan, way: str
) -> None:
    wanted = every(plan(way))
    all_new = changes.changes(wanted, Found("ws"), [live(each) for each in wanted])
    stages = {each.title: changes.stage(each, "ws") for each in all_new}
    assert stages["Deployment ws"] == "pods"
    before = {title.split()[0] for title, stage in stages.items() if stage == "before"}
    assert before == {"ServiceAccount", "ConfigMap", "Service"}
    # One that is there may lead clients to pods that serve.
    service = one(plan(way), "Service", "ws")
    assert changes.stage(Change(service, live(service), live(service)), "ws") == "after"
    last = [each.wanted["kind"] for each in changes.ordered(all_new)][-1]
    assert last in changes.LAST or way == "haproxy"


def test_objects_of_others_are_refused() -> None:
    theirs = named("Service", "ws")
    theirs["metadata"]["labels"] = {found.NAME: "ws"}
    neighbour = named("Service", "ws-proxy")
    neighbour["metadata"]["labels"][found.NAME] = "ws-proxy"
    wanted = [named("Service", "ws"), named("Service", "ws-proxy"), named("Secret", "ws-1")]
    with pytest.raises(ForeignError, match=r"^Service ws is there and not wsdeploy's; give"):
        changes.check(wanted, Found("ws", (theirs,)), take_over=False)
    changes.check(wanted, Found("ws", (theirs,)), take_over=True)
    with pytest.raises(ForeignError, match=r"^Service ws-proxy is of the service ws-proxy;"):
        changes.check(wanted, Found("ws", (theirs, neighbour)), take_over=True)


def test_services_of_one_name_are_told_apart_by_their_domains(plan: Plan) -> None:
    for each in every(plan("haproxy", app={"secrets": {"A": FromEnv("HOME")}})):
        assert found.annotation(each, "wsdeploy/domain") == "ws.a-company.com"
    there = Found("ws", (live(one(plan(), "Deployment")),))
    changes.check_domain(there, "ws.a-company.com", take_over=False)
    changes.check_domain(there, "ws.b-company.com", take_over=True)
    with pytest.raises(ForeignError, match=r"^ws is there already, for ws.a-company.com, and"):
        changes.check_domain(there, "ws.b-company.com", take_over=False)
    # Whoever may write into the namespace has no hold on the terminal.
    there.objects[0]["metadata"]["annotations"]["wsdeploy/domain"] = "a\x1b[2J"
    with pytest.raises(ForeignError, match=r"for a\\x1b\[2J, and"):
        changes.check_domain(there, "ws.b-company.com", take_over=False)
    # Nor is anything there from before objects said so.
    changes.check_domain(Found("ws", (named("Deployment", "ws"),)), "ws.b.com", take_over=False)


def test_secrets_that_have_to_be_there_are_named_with_their_keys() -> None:
    needed = [(named("Secret", "ws-tls"), ("tls.crt", "tls.key")), (named("Secret", "a"), ("B",))]
    there = Found("ws", (named("Secret", "a", data={"C": ""}),))
    with pytest.raises(MissingError) as raised:
        changes.check_secrets(needed, there)
    assert str(raised.value) == (
        "Secret ws-tls is not there, with tls.crt, tls.key; Secret a has no B; make it first"
    )
    changes.check_secrets(needed[1:], Found("ws", (named("Secret", "a", data={"B": ""}),)))


def test_a_field_that_the_cluster_drops_is_named(plan: Plan) -> None:
    wanted = every(plan("route"))
    planned = [live(each) for each in wanted]
    changes.check_fields(wanted, planned)
    route = next(each for each in planned if key(each) == ("HTTPRoute", "ws"))
    del route["spec"]["rules"][0]["timeouts"]
    with pytest.raises(DroppedError, match=r"no HTTPRoute ws: spec.rules\[0\].timeouts; install"):
        changes.check_fields(wanted, planned)


def test_what_an_earlier_revision_names_stays() -> None:
    deployment = named("Deployment", "ws", spec={"template": pods_of("c-3"), "replicas": 2})
    deployment["spec"]["revisionHistoryLimit"] = 1
    deployment["metadata"]["annotations"] = {found.REVISION: "3"}
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "spec": pods_of("c-0")["spec"]}
    made = named("Certificate", "ws-tls")
    owner = {"kind": "Ingress", "name": "old", "controller": True}
    made["metadata"]["ownerReferences"] = [owner]
    objects = (
        deployment,
        replica_set(3, pods_of("c-3"), 2),
        replica_set(2, pods_of("c-2", "s-2")),
        # Of those that serve no more, the cluster keeps one.
        replica_set(1, pods_of("c-1", "s-1")),
        pod,
        *(named("ConfigMap", f"c-{number}") for number in range(5)),
        *(named("Secret", f"s-{number}") for number in range(4)),
        named("Ingress", "old"),
        {"kind": "ConfigMap", "metadata": {"name": "theirs", "labels": {found.NAME: "ws"}}},
        # A controller has made it of the Ingress, with the Ingress's labels.
        made,
    )
    wanted = [deployment, named("ConfigMap", "c-3"), named("Secret", "s-3")]
    gone = [" ".join(key(each)) for each in changes.leftovers(wanted, Found("ws", objects))]
    assert gone == [
        "ConfigMap c-1", "ConfigMap c-4", "Secret s-0", "Secret s-1", "Ingress old",
    ]  # fmt: skip


def test_a_secret_in_a_volume_is_named_too() -> None:
    volumes = [
        {"name": "tls", "secret": {"secretName": "ws-tls"}},
        {"name": "config", "configMap": {"name": "ws-proxy-1"}},
    ]
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"volumes": volumes}}
    names = {*changes.named(Found("ws", (pod,)))}
    assert names == {("Secret", "ws-tls"), ("ConfigMap", "ws-proxy-1")}
    assert not {*changes.named(Found("ws", (pod,)), pods=False)}


def test_a_difference_shows_no_secret() -> None:
    before = named("Secret", "ws-0123456789", immutable=True, data={"A": "b2xk", "B": "c2FtZQ=="})
    # kubectl apply's.
    before["metadata"]["annotations"] = {"last-applied-configuration": '{"A": "b2xk"}'}
    after = named("Secret", "ws-abcdef0123", immutable=True)
    after["data"] = {"A": "bmV3", "B": "c2FtZQ==", "C": "bW9yZQ=="}
    lines = changes.unified(Change(after, None, after), Found("ws", (before,)))
    text = "\n".join(lines)
    assert not [each for each in ("b2xk", "bmV3", "c2FtZQ==", "bW9yZQ==") if each in text]
    assert '-  A: "(not shown)"' in text
    assert '+  A: "(not shown), another one"' in text
    assert '   B: "(not shown)"' in text
    assert '+  C: "(not shown)"' in text


def test_variables_are_shown_beside_those_they_take_the_place_of() -> None:
    old = named("ConfigMap", "ws-0123456789", immutable=True, data={"A": "1", "B": "2"})
    new = named("ConfigMap", "ws-abcdef0123", immutable=True, data={"A": "1", "B": "3"})
    lines = changes.unified(Change(new, None, new), Found("ws", (old,)))
    assert [line for line in lines if line[0] in "+-"] == [
        "-  name: ws-0123456789", "+  name: ws-abcdef0123", '-  B: "2"', '+  B: "3"',
    ]  # fmt: skip
