"""What breaks services in clusters, and what no schema can see."""

import json
import re
from typing import Any

import pytest

from tests.unit.cluster.conftest import HAPROXY, WAYS, Plan, container, every, one, pod, strings
from wsapp.config import Config
from wsdeploy import (
    Edge,
    FromEnv,
    FromFile,
    HAProxy,
    HTTPRoute,
    Ingress,
    LoadBalancer,
    Probe,
    Replicas,
    SelfSigned,
)
from wsdeploy.cluster import environment, routes
from wsdeploy.cluster.target import ClusterTarget

SECRETS = {"secrets": {"API_KEY": FromFile("app.py")}}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def config(plan: Plan, **given: Any) -> Config:
    """What wsapp makes of a pod's variables."""
    target = plan(**given)
    values = one(target, "ConfigMap", environment.config_name(target))["data"]
    own = {each["name"]: each["value"] for each in container(target)["env"] if "value" in each}
    return Config.from_env({**values, **own})


@pytest.mark.parametrize("drain", [0, 0.5, 30, 3600])
@pytest.mark.parametrize("pre_stop", [1, 10, 300])
def test_a_pod_is_never_killed_while_it_drains(plan: Plan, drain: float, pre_stop: int) -> None:
    # The hook's time is part of the pod's: kubelet, killContainer.
    target = plan(app={"drain": drain}, pre_stop=pre_stop, settle=5)
    wait = container(target)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert wait == pre_stop
    least = wait + config(plan, app={"drain": drain}, settle=5).stop_limit
    assert pod(target)["terminationGracePeriodSeconds"] >= least


def test_a_hook_needs_no_program_of_the_image(plan: Plan) -> None:
    for name, way, seconds in (("ws", "ingress", 10), ("ws-proxy", "haproxy", 180)):
        hook = container(plan(way), name)["lifecycle"]
        assert hook == {"preStop": {"sleep": {"seconds": seconds}}}


@pytest.mark.parametrize("end", [None, 60])
def test_haproxy_takes_clients_until_a_cloud_sends_none(plan: Plan, end: int | None) -> None:
    # That of AWS goes on for two minutes, whatever the app's own pods need.
    settings = {"proxy": HAProxy(shutdown_timeout=end)}
    for given, seconds in (
        (LoadBalancer(HAPROXY, issuer="a"), 180),
        (LoadBalancer(HAPROXY, issuer="a", pre_stop=300), 300),
    ):
        target = plan(given, settings=settings, pre_stop=5)
        hook = container(target, "ws-proxy")["lifecycle"]["preStop"]
        assert hook["sleep"]["seconds"] == seconds
        least = seconds + (3600 if end is None else end)
        assert pod(target, "ws-proxy")["terminationGracePeriodSeconds"] == least


def test_a_hung_pod_does_not_wait_for_its_drain(plan: Plan) -> None:
    target = plan(app={"hang_timeout": 10.5})
    probe = container(target)["livenessProbe"]
    assert probe["terminationGracePeriodSeconds"] == 5
    assert probe["failureThreshold"] * probe["periodSeconds"] == 11
    assert "livenessProbe" not in container(plan(app={"hang_timeout": None}))


def test_nobody_is_killed_for_an_open_port_that_says_nothing(plan: Plan) -> None:
    found = container(plan(app={"health": None}))
    assert "livenessProbe" not in found
    assert found["readinessProbe"]["tcpSocket"] == {"port": "ws"}


def test_a_probe_allows_a_start_its_time(plan: Plan) -> None:
    probe = container(plan(app={"start_timeout": 90}))["startupProbe"]
    # The first try is one of them.
    assert (probe["failureThreshold"] - 1) * probe["periodSeconds"] == 90
    spec = one(plan(app={"start_timeout": 600, "healthy_for": 600}), "Deployment")["spec"]
    # The API refuses any other.
    assert spec["progressDeadlineSeconds"] > spec["minReadySeconds"] == 600


def as_kubernetes_reads(word: str) -> str:
    """A word of a command or probe in which $(NAME) would be a variable, and $$ is $."""
    found = re.split(r"(\$\$|\$\(.*?\))", word)
    assert not [part for part in found[1::2] if part != "$$"]
    return "".join(part if number % 2 == 0 else "$" for number, part in enumerate(found))


def test_a_pod_gets_clients_once_it_has_had_one(plan: Plan) -> None:
    # No probe of Kubernetes itself sees that handshakes fail.
    found = container(plan(app={"probe": Probe("/rooms/$(1)", "hi$$", "ho")}))
    *python, request = found["startupProbe"]["exec"]["command"]
    assert python == ["/usr/bin/python3", "-I", "-S", "/usr/lib/wsdeploy/startup"]
    told = json.loads(as_kubernetes_reads(request))
    assert told["target"]["path"] == "/rooms/$(1)"
    assert told["target"]["address"] == ["127.0.0.1", 8000]
    assert (told["send"], told["expect"]) == ("hi$$", "ho")
    secret = container(plan(app={"probe": Probe(send=FromEnv("TOKEN"), expect="ho")}))
    told = json.loads(secret["startupProbe"]["exec"]["command"][-1])
    assert (told["send"], told["expect"]) == (None, None)


def test_another_name_or_port_is_another_image(plan: Plan) -> None:
    others = (plan(), plan(settings={"name": "ws2"}), plan(app={"port": 9000}))
    assert len({each.image for each in others}) == 3


def test_a_full_pod_stays_ready(plan: Plan) -> None:
    # The first that go are those that are not ready: the fullest.
    target = plan(settings={"max_connections": 500})
    assert config(plan, settings={"max_connections": 500}).max_connections == 500
    assert container(target)["readinessProbe"]["httpGet"]["path"] == "/healthz"


def test_pods_go_one_at_a_time_and_never_faster_than_one_drains(plan: Plan) -> None:
    for drain in (0, 30, 900, 1772):
        target = plan(app={"drain": drain}, replicas=Replicas(2, 20))
        down = one(target, "HorizontalPodAutoscaler")["spec"]["behavior"]["scaleDown"]
        (step,) = down["policies"]
        assert (step["type"], step["value"]) == ("Pods", 1)
        assert step["periodSeconds"] >= pod(target)["terminationGracePeriodSeconds"]
        # The API's own limits, which are no part of its schemas.
        assert step["periodSeconds"] <= 1800
        assert step["periodSeconds"] <= down["stabilizationWindowSeconds"] <= 3600


def test_an_autoscaler_has_the_number_of_pods_to_itself(plan: Plan) -> None:
    assert one(plan(replicas=3), "Deployment")["spec"]["replicas"] == 3
    by_load = Replicas(by="connections", prometheus="http://prometheus:9090")
    for replicas in (Replicas(), by_load):
        target = plan(replicas=replicas, metrics_namespace="monitoring")
        assert "replicas" not in one(target, "Deployment")["spec"]
        kinds = [each["kind"] for each in every(target)]
        assert kinds.count("HorizontalPodAutoscaler") + kinds.count("ScaledObject") == 1


def test_an_empty_answer_of_prometheus_takes_no_pod_away(plan: Plan) -> None:
    by_load = Replicas(by="connections", prometheus="http://prometheus:9090")
    spec = one(plan(replicas=by_load, metrics_namespace="monitoring"), "ScaledObject")["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert trigger["metadata"]["threshold"] == "7000"
    assert "unless on(pod) wsapp_draining" in trigger["metadata"]["query"]
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"


@pytest.mark.parametrize("way", WAYS)
def test_no_pod_goes_before_another_is_ready(plan: Plan, way: str) -> None:
    for each in every(plan(way)):
        if each["kind"] == "Deployment":
            update = each["spec"]["strategy"]["rollingUpdate"]
            assert update["maxUnavailable"] == 0
            assert update["maxSurge"] > 0


@pytest.mark.parametrize("way", WAYS)
def test_no_pod_asks_for_what_its_namespace_refuses(plan: Plan, way: str) -> None:
    # Unsafe sysctls are refused, and the ReplicaSet makes a new pod several times a second.
    for each in every(plan(way)):
        if each["kind"] != "Deployment":
            continue
        spec = each["spec"]["template"]["spec"]
        assert {"sysctls", "hostNetwork", "hostPID"} & {*strings(spec)} == set()
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for inner in spec["containers"]:
            assert inner["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }


def test_the_backlog_is_what_a_pod_of_its_own_network_has(plan: Plan) -> None:
    assert config(plan).backlog == 4096


@pytest.mark.parametrize("way", WAYS)
def test_services_put_no_variables_into_pods(plan: Plan, way: str) -> None:
    # A Service called ws would put WS_PORT=tcp://… there.
    for each in every(plan(way)):
        if each["kind"] == "Deployment":
            spec = each["spec"]["template"]["spec"]
            assert spec["enableServiceLinks"] is False
            assert spec["automountServiceAccountToken"] is False


def test_where_to_listen_stands_in_the_pod_itself(plan: Plan) -> None:
    values = {each["name"]: each["value"] for each in container(plan())["env"]}
    assert values == {"WS_HOST": "0.0.0.0", "WS_PORT": "8000"}


def test_no_balancer_is_sent_to_the_address_of_the_service(plan: Plan) -> None:
    # From there, kube-proxy sends a connection to any pod.
    for way in WAYS:
        found = {*strings(every(plan(way)))}
        assert not [each for each in found if "service-upstream" in each or "nativelb" in each]
        assert "sessionAffinity" not in found


def test_clients_are_sent_to_pods_that_are_ready_only(plan: Plan) -> None:
    for way in WAYS:
        assert "publishNotReadyAddresses" not in {*strings(every(plan(way)))}


def test_gateways_let_the_upgrade_pass(plan: Plan) -> None:
    (port,) = one(plan("route"), "Service")["spec"]["ports"]
    assert port["appProtocol"] == "kubernetes.io/ws"
    (rule,) = one(plan("route"), "HTTPRoute", "ws")["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s"}


def test_envoy_lets_all_clients_through(plan: Plan) -> None:
    # Its default of 1,024 lets the next WebSocket hang until it times out. While pods are replaced,
    # twice as many are there.
    spec = one(plan("route", replicas=Replicas(2, 5)), "BackendTrafficPolicy")["spec"]
    assert {*spec["circuitBreaker"].values()} == {100_000}
    assert len(spec["circuitBreaker"]) == 4
    most = plan("route", settings={"max_connections": 1_000_000}, replicas=Replicas(2, 1000))
    spec = one(most, "BackendTrafficPolicy")["spec"]
    assert {*spec["circuitBreaker"].values()} == {2_000_000_000}


@pytest.mark.parametrize(("interval", "timeout"), [(20, 20), (300, 300), (300, None), (1, 1)])
def test_no_proxy_cuts_a_connection_between_two_pings(
    plan: Plan, interval: float, timeout: float | None
) -> None:
    app = {"ping_interval": interval, "ping_timeout": timeout}
    least = interval + (timeout or 0)
    spec = one(plan("route", app=app), "BackendTrafficPolicy")["spec"]
    assert float(spec["timeout"]["http"]["streamIdleTimeout"].removesuffix("s")) > least
    spec = one(plan("haproxy's gateway", app=app), "Backend")["spec"]
    assert spec["tunnel_timeout"] > least * 1000


def test_gateways_try_another_pod_if_one_is_dead_or_full(plan: Plan) -> None:
    # Least connections send nearly all handshakes to the pod that refuses them.
    spec = one(plan("route"), "BackendTrafficPolicy")["spec"]
    assert spec["retry"]["numRetries"] == 5
    assert {*spec["retry"]["retryOn"]["triggers"]} == {"connect-failure", "retriable-status-codes"}
    assert spec["retry"]["retryOn"]["httpStatusCodes"] == [503]
    spec = one(plan("haproxy's gateway"), "Backend")["spec"]
    assert (spec["retries"], spec["redispatch"]["enabled"]) == (3, "enabled")
    assert "503" in spec["retry_on"].split()


def test_no_gateway_does_twice_what_is_no_get(plan: Plan) -> None:
    (rule,) = one(plan("route"), "HTTPRoute", "ws")["spec"]["rules"]
    assert {each["method"] for each in rule["matches"]} == {"GET", "HEAD"}
    (rule,) = one(plan("haproxy's gateway"), "Backend")["spec"]["http_request_rule_list"]
    assert rule == {"type": "disable-l7-retry", "cond": "unless", "cond_test": "METH_GET"}
    # To match a method is no part of the core that every implementation has.
    (rule,) = one(plan("haproxy's gateway"), "HTTPRoute", "ws")["spec"]["rules"]
    assert not [each for each in rule["matches"] if "method" in each]


def test_a_gateway_of_others_is_not_configured(plan: Plan) -> None:
    for way, found in (
        (HTTPRoute("public", policies="envoy"), 1),
        (HTTPRoute("public", gateway_namespace="chat", policies="envoy"), 1),
        (HTTPRoute("public", gateway_namespace="edge", policies="envoy"), 0),
    ):
        kinds = [each["kind"] for each in every(plan(way))]
        assert kinds.count("ClientTrafficPolicy") == found
    listener = one(plan("route"), "ClientTrafficPolicy")["spec"]["targetRefs"]
    assert [each["sectionName"] for each in listener] == ["https"]


def test_a_route_of_haproxys_gateway_names_its_backend(plan: Plan) -> None:
    target = plan("haproxy's gateway")
    (rule,) = one(target, "HTTPRoute", "ws")["spec"]["rules"]
    (backend,) = rule["backendRefs"]
    (filter_,) = backend["filters"]
    reference = filter_["extensionRef"]
    own = one(target, "Backend")
    assert own["apiVersion"] == f"{reference['group']}/v3"
    assert (reference["kind"], reference["name"]) == (own["kind"], own["metadata"]["name"])
    assert own["spec"]["balance"] == {"algorithm": "leastconn"}


@pytest.mark.parametrize(
    ("way", "namespace"),
    [
        (HTTPRoute("a", policies="envoy"), "envoy-gateway-system"),
        (HTTPRoute("a", policies="haproxy"), "haproxy-unified-gateway"),
        (HTTPRoute("a"), "chat"),
        (HTTPRoute("a", gateway_namespace="edge"), "edge"),
        (HTTPRoute("a", gateway_namespace="edge", namespace="proxies"), "proxies"),
    ],
)
def test_the_pods_of_a_gateway_reach_the_app(plan: Plan, way: HTTPRoute, namespace: str) -> None:
    (rule,) = one(plan(way), "NetworkPolicy")["spec"]["ingress"]
    assert namespace in {*strings(rule["from"])}


@pytest.mark.parametrize("way", WAYS)
def test_nobody_else_reaches_the_app(plan: Plan, way: str) -> None:
    # Any pod could write X-Forwarded-For.
    target = plan(way, metrics_namespace="monitoring")
    proxies, metrics = one(target, "NetworkPolicy", "ws")["spec"]["ingress"]
    (sender,) = proxies["from"]
    if way == "haproxy":
        labels = one(target, "Deployment", "ws-proxy")["spec"]["selector"]["matchLabels"]
        assert sender == {"podSelector": {"matchLabels": labels}}
    else:
        label = {"kubernetes.io/metadata.name": target.kubernetes.proxies}
        assert sender == {"namespaceSelector": {"matchLabels": label}}
    assert "monitoring" in {*strings(metrics["from"])}


@pytest.mark.parametrize("way", WAYS)
def test_selectors_mean_the_pods_that_they_should(plan: Plan, way: str) -> None:
    found = every(plan(way))
    pods = [
        each["spec"]["template"]["metadata"]["labels"]
        for each in found
        if each["kind"] == "Deployment"
    ]
    for each in found:
        selector = each.get("spec", {}).get("selector") or each.get("spec", {}).get("podSelector")
        if selector:
            wanted = selector.get("matchLabels", selector).items()
            assert sum(wanted <= labels.items() for labels in pods) == 1, each["kind"]


@pytest.mark.parametrize("way", WAYS)
def test_a_budget_says_one_of_the_two_numbers(plan: Plan, way: str) -> None:
    for each in every(plan(way)):
        if each["kind"] == "PodDisruptionBudget":
            assert ("minAvailable" in each["spec"]) + ("maxUnavailable" in each["spec"]) == 1
            assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("way", WAYS)
def test_names_are_ones_that_kubernetes_takes(plan: Plan, way: str) -> None:
    target = plan(way, settings={"name": "a-name-of-twenty-abc"}, app=SECRETS)
    for each in every(target):
        name = each["metadata"]["name"]
        assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name), name
        assert each["metadata"]["namespace"] == "chat"


def test_what_pods_are_told_never_changes_under_them(plan: Plan) -> None:
    one_key, other = plan(app=SECRETS), plan(app=SECRETS | {"env": {"PLAN": "a"}})
    for target in (one_key, other):
        for each in every(target):
            if each["kind"] in ("ConfigMap", "Secret"):
                assert each["immutable"] is True
    names = {environment.config_name(target) for target in (one_key, other)}
    assert len(names) == 2
    used = container(other)["envFrom"]
    assert used == [{"configMapRef": {"name": environment.config_name(other)}}]


def test_another_value_of_a_secret_makes_new_pods(plan: Plan) -> None:
    before = environment.secret_name(plan(app=SECRETS))
    assert before == environment.secret_name(plan(app=SECRETS))
    with open("app.py", "a") as file:
        file.write("print('two')\n")
    assert environment.secret_name(plan(app=SECRETS)) != before


def test_variables_of_before_outlive_the_pods_that_have_them(plan: Plan) -> None:
    annotations = one(plan(), "ConfigMap")["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/sync-options"] == "PruneLast=true"
    assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


def test_an_existing_secret_is_read_by_name_and_not_made(plan: Plan) -> None:
    target = plan(app=SECRETS, existing_secret="from-the-vault")
    assert "Secret" not in [each["kind"] for each in every(target)]
    *_, key = container(target)["env"]
    reference = {"name": "from-the-vault", "key": "API_KEY"}
    assert key == {"name": "API_KEY", "valueFrom": {"secretKeyRef": reference}}


def test_memory_is_that_of_all_clients_and_there_is_no_limit_for_cpu(plan: Plan) -> None:
    # 17 MiB and 10,000 times 48 + 4 KiB, of which a tenth stays free: docs/operate/capacity.md.
    assert container(plan())["resources"] == {
        "requests": {"cpu": "250m", "memory": "584Mi"},
        "limits": {"memory": "584Mi"},
    }
    more = container(plan(app={"compression": "high"}))["resources"]["limits"]["memory"]
    assert more == "1311Mi"
    assert container(plan(memory=100))["resources"]["limits"] == {"memory": "100Mi"}


def test_what_is_written_to_is_no_part_of_the_root(plan: Plan) -> None:
    target = plan(app={"writable": ["/srv/uploads"]})
    mounts = {each["mountPath"]: each["name"] for each in container(target)["volumeMounts"]}
    assert set(mounts) == {"/tmp", "/var/lib/ws", "/srv/uploads"}
    volumes = {each["name"]: each["emptyDir"] for each in pod(target)["volumes"]}
    assert {*mounts.values()} == {*volumes}
    # In memory it would count against the app's limit.
    assert all(each == {"sizeLimit": "256Mi"} for each in volumes.values())


def test_a_command_is_given_its_values_and_kubernetes_finds_none_of_its_own(plan: Plan) -> None:
    words = ["python", "-m", "app", "--port=$WS_PORT", "${WS_APP}/x", "$UNKNOWN", "$(HOME)$$"]
    target = plan(app={"command": words})
    assert container(target)["command"] == [
        "/usr/bin/python3", "-m", "app", "--port=8000", f"{target.folder}/app/x", "$UNKNOWN",
        "$$(HOME)$$$",
    ]  # fmt: skip
    assert as_kubernetes_reads(container(target)["command"][-1]) == "$(HOME)$$"
    assert environment.entrypoint(target)[-1] == "$(HOME)$$"
    assert container(plan())["command"] == ["/usr/bin/python3", f"{plan().folder}/app/app.py"]


def test_an_image_that_always_is_the_same_is_fetched_once(plan: Plan) -> None:
    found = container(plan())
    assert re.fullmatch(
        r"registry\.a-company\.com/chat:[0-9a-f]{12}-a{12}-[0-9a-f]{6}", found["image"]
    )
    assert found["imagePullPolicy"] == "IfNotPresent"


def test_the_proxy_of_a_mesh_starts_before_the_app_and_ends_after_it(plan: Plan) -> None:
    # As a container beside it, Istio's would end 5 s after SIGTERM, with everybody.
    template = one(plan(mesh="istio"), "Deployment")["spec"]["template"]["metadata"]
    assert template["labels"]["sidecar.istio.io/inject"] == "true"
    assert template["annotations"]["sidecar.istio.io/nativeSidecar"] == "true"
    template = one(plan(mesh="linkerd"), "Deployment")["spec"]["template"]["metadata"]
    assert template["annotations"]["linkerd.io/inject"] == "enabled"
    name = "config.beta.linkerd.io/proxy-enable-native-sidecar"
    assert template["annotations"][name] == "true"
    plain = one(plan(), "Deployment")["spec"]["template"]["metadata"]
    assert {*plain["annotations"]} == {"kubectl.kubernetes.io/default-container"}


def test_a_mesh_selects_the_same_pods_as_before(plan: Plan) -> None:
    # Selectors can't be changed.
    found = [one(plan(mesh=mesh), "Deployment")["spec"]["selector"] for mesh in (None, "istio")]
    assert found[0] == found[1]


def test_the_proxy_of_linkerd_is_reached_at_its_own_port(plan: Plan) -> None:
    # What comes from the mesh is sent to that port, whichever it is meant for.
    def ports(target: ClusterTarget) -> list[set[int | str]]:
        rules = one(target, "NetworkPolicy")["spec"]["ingress"]
        return [{port["port"] for port in rule["ports"]} for rule in rules]

    assert ports(plan(mesh="linkerd", metrics_namespace="a")) == [{"ws", 4143}] * 2
    assert ports(plan(mesh="istio")) == ports(plan()) == [{"ws"}]


def test_origins_are_kept_by_the_app_whatever_the_way_in_is(plan: Plan) -> None:
    edge = {"edge": Edge(origins=("https://a.com", "https://*.a.com"), origin_required=True)}
    for way in ("ingress", "route"):
        found = config(plan, way=way, settings=edge)
        assert len(found.origins) == 2
        assert found.origin_required
    # Pods come back by a rollback, and are there before the way in is another one.
    assert len(config(plan, way="haproxy", settings=edge).origins) == 2


def test_paths_lead_to_the_app_and_so_does_its_health(plan: Plan) -> None:
    assert routes.paths(plan()) == [("/", True)]
    rules = {"edge": Edge(paths=("/chat", "/rooms/*"), plain_paths=("/status",))}
    target = plan(settings=rules, app={"probe": _probe("/chat")})
    assert routes.paths(target) == [
        ("/chat", False), ("/healthz", False), ("/rooms", True), ("/status", False),
    ]  # fmt: skip
    (rule,) = one(target, "Ingress")["spec"]["rules"]
    found = {each["path"]: each["pathType"] for each in rule["http"]["paths"]}
    assert found["/rooms"] == "Prefix"
    assert found["/chat"] == "Exact"


def _probe(path: str) -> Any:
    from wsdeploy import Probe  # noqa: PLC0415

    return Probe(path)


def test_an_ingress_of_haproxy_balances_by_connections_and_never_says_429(plan: Plan) -> None:
    annotations = one(plan(), "Ingress")["metadata"]["annotations"]
    assert annotations["haproxy.org/load-balance"] == "leastconn"
    assert annotations["haproxy.org/check-interval"] == "1s"
    assert (
        "haproxy.org/check-interval"
        not in (one(plan(app={"health": None}), "Ingress")["metadata"]["annotations"])
    )
    # Beyond its places, a pod takes a reload, which forgets whom each one has.
    assert annotations["haproxy.org/scale-server-slots"] == "42"
    more = one(plan(replicas=Replicas(2, 30)), "Ingress")["metadata"]["annotations"]
    assert more["haproxy.org/scale-server-slots"] == "60"
    assert annotations["haproxy.org/rate-limit-status-code"] == "503"
    assert annotations["haproxy.org/rate-limit-requests"] == "2000"
    assert annotations["cert-manager.io/cluster-issuer"] == "letsencrypt"


def test_host_names_are_ones_that_kubernetes_takes(plan: Plan) -> None:
    names = ["WWW.A-company.com", "10.0.0.1"]
    target = plan("route", settings={"tls": SelfSigned(names=names)})
    assert one(target, "HTTPRoute", "ws")["spec"]["hostnames"] == [
        "ws.a-company.com", "www.a-company.com",
    ]  # fmt: skip


def test_another_health_check_takes_no_pod_out(plan: Plan) -> None:
    # While it changes, proxies ask pods of one release for what only the other's have.
    assert "check-http" not in json.dumps(one(plan(app={"health": "/up"}), "Ingress"))
    (text,) = [
        each["data"]["haproxy.cfg"]
        for each in every(plan("haproxy", app={"health": "/up"}))
        if each["kind"] == "ConfigMap" and "haproxy.cfg" in each["data"]
    ]
    # 404 and 426 will do.
    assert re.findall("http-check expect (.*)", text) == ["! rstatus ^5"]


def test_a_route_is_for_its_listener_and_http_is_sent_away(plan: Plan) -> None:
    target = plan(HTTPRoute("public", gateway_namespace="edge"))
    (parent,) = one(target, "HTTPRoute", "ws")["spec"]["parentRefs"]
    assert parent == {"name": "public", "namespace": "edge", "sectionName": "https"}
    (parent,) = one(target, "HTTPRoute", "ws-redirect")["spec"]["parentRefs"]
    assert parent["sectionName"] == "http"


def test_haproxy_has_a_place_for_each_pod_that_there_may_be(plan: Plan) -> None:
    target = plan("haproxy", replicas=Replicas(2, 30))
    (text,) = [
        each["data"]["haproxy.cfg"]
        for each in every(target)
        if each["kind"] == "ConfigMap" and "haproxy.cfg" in each["data"]
    ]
    place = "server-template pod 1-60 ws-pods.chat.svc.cluster.local:8000 resolvers cluster"
    assert place in text
    assert "balance leastconn" in text
    assert "be_conn(app) ge 300000 }" in text
    # Ports and files of a host that has root are none of a pod's.
    assert not re.search(r"bind \S*:(80|443) ", text)
    assert not re.search(r"^ +(user|group|chroot) ", text, re.MULTILINE)
    assert one(target, "Service", "ws-pods")["spec"]["clusterIP"] == "None"


def test_another_number_of_pods_leaves_haproxys_alone_where_it_has_limits_of_its_own(
    plan: Plan,
) -> None:
    """New ones would count only their own clients, and send a new pod no more than its share."""
    way_in = LoadBalancer(HAPROXY, issuer="letsencrypt", max_connections=20_000)
    two, eight = (one(plan(way_in, replicas=n), "Deployment", "ws-proxy") for n in (2, 8))
    assert two == eight


def test_haproxy_sees_clients_and_not_nodes(plan: Plan) -> None:
    spec = one(plan("haproxy"), "Service", "ws-proxy")["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert {each["port"]: each["targetPort"] for each in spec["ports"]} == {
        80: "http",
        443: "https",
    }


def test_only_haproxy_can_read_its_key(plan: Plan) -> None:
    volumes = {each["name"]: each for each in pod(plan("haproxy"), "ws-proxy")["volumes"]}
    assert volumes["tls"]["secret"]["defaultMode"] == 0o440
    # Without a group of its own, the pod could not read it.
    security = pod(plan("haproxy"), "ws-proxy")["securityContext"]
    assert security["fsGroup"] == security["runAsGroup"]
    # HAProxy looks for it beside the certificate, by this name.
    assert {"key": "tls.key", "path": "cert.pem.key"} in volumes["tls"]["secret"]["items"]


def test_a_new_certificate_comes_into_use_by_itself(plan: Plan) -> None:
    files = next(
        each["data"]
        for each in every(plan("haproxy"))
        if each["kind"] == "ConfigMap" and "haproxy.cfg" in each["data"]
    )
    assert "lua-load certificate.lua\n" in files["haproxy.cfg"]
    # HAProxy knows a certificate by the path that it has in the list.
    assert 'local certificate = "/etc/haproxy/tls/cert.pem"' in files["certificate.lua"]
    # 2.6 takes `crt` as well, and 3.0 refuses it.
    assert '{filename = certificate, [""] = found}' in files["certificate.lua"]
    assert "\n/etc/haproxy/tls/cert.pem ws.a-company.com\n" in files["ws.certificates"]
    mounts = {each["name"]: each for each in container(plan("haproxy"), "ws-proxy")["volumeMounts"]}
    # What is mounted by subPath is never renewed.
    assert mounts["tls"] == {"name": "tls", "mountPath": "/etc/haproxy/tls", "readOnly": True}


def test_haproxy_holds_what_all_pods_hold_or_what_it_is_told(plan: Plan) -> None:
    target = plan(LoadBalancer(HAPROXY, issuer="a", max_connections=1_000))
    memory = container(target, "ws-proxy")["resources"]["limits"]["memory"]
    assert memory == "124Mi"


def test_annotations_of_ones_own_may_have_any_name(plan: Plan) -> None:
    own = {"name": "a", "component": "b", "target": "c"}
    ways = (Ingress(issuer="a", annotations=own), LoadBalancer(HAPROXY, annotations=own))
    for kind, way in zip(("Ingress", "Service"), ways, strict=True):
        told = [
            each["metadata"]["annotations"] for each in every(plan(way)) if each["kind"] == kind
        ]
        assert any(own.items() <= each.items() for each in told)
