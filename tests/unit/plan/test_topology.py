"""Which host is behind which proxy, and by which addresses."""

from dataclasses import replace

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy import HAProxy, hosts
from wsdeploy.plan.app import process_counts, upstreams
from wsdeploy.plan.host import firewall, system
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import haproxy, haproxy_cfg, nginx, nginx_conf
from wsdeploy.plan.target import Target
from wsdeploy.settings.topology import Topology, Upstream


def test_alone() -> None:
    assert Topology(("a",), ("a",)).alone
    assert Topology(("a", "b"), ("b", "a")).alone
    assert not Topology(("a",), ("b",)).alone
    assert not Topology(("a", "b"), ("a",)).alone
    assert not Topology(("a",), ("a", "b")).alone


def test_each_host_alone_is_its_own_proxys_only_app_host() -> None:
    topology = Topology(("a", "b"), ("a", "b"), {"a": "10.0.0.1", "b": "10.0.0.2"})
    assert tuple(topology.app_hosts_of("b")) == ("b",)
    assert topology.listen_address("b") == "127.0.0.1", "nobody else needs to reach it"


def test_every_proxy_has_all_app_hosts(tiers: MakeSettings) -> None:
    topology = tiers().topology
    assert (topology.app, topology.proxy) == (("app1", "app2"), ("lb1", "lb2"))
    for proxy in topology.proxy:
        assert tuple(topology.app_hosts_of(proxy)) == ("app1", "app2")
    assert topology.listen_address("app1") == "10.0.0.1"
    assert topology.listen_address("app2") == "fd00::2"


def test_a_host_that_is_both_among_others_listens_for_the_others(tiers: MakeSettings) -> None:
    both = [("app1", {"private_address": "10.0.0.1"}), ("lb1", {"private_address": "10.0.0.9"})]
    topology = tiers(groups={"app": both}).topology
    assert not topology.alone
    assert topology.listen_address("lb1") == "10.0.0.9"
    assert tuple(topology.app_hosts_of("lb1")) == ("app1", "lb1")


def test_addresses_of_a_group_and_of_its_hosts(make: MakeSettings) -> None:
    entries: list[str | tuple[str, dict[str, str]]] = ["a", ("b", {"private_address": "10.0.0.2"})]
    (_, data), _ = hosts(make(), app=entries, private_address="10.0.0.1")
    assert data["settings"].topology.addresses == {"a": "10.0.0.1", "b": "10.0.0.2"}


def test_ports_of_a_host_alone(make: MakeSettings) -> None:
    for listen, ports in (
        (None, []),
        ("unix", []),
        ("tcp", [9000, 9001, 9002]),
        ("shared", [9000]),
    ):
        settings = make({"processes": 3, "listen": listen, "port": 9000})
        assert upstreams.ports(settings, 3) == ports
        found = upstreams.upstreams(Target(settings, "one", Survey()))
        reached = [("127.0.0.1", upstream.port) for upstream in found if not upstream.unix]
        assert reached == [("127.0.0.1", port) for port in ports]
        assert len(found) == len(ports or "123")


def test_upstreams_on_sockets(make: MakeSettings) -> None:
    assert upstreams.upstreams(Target(make({"processes": 2}), "one", Survey())) == [
        Upstream("one-ws_00", unix="/run/ws/current/ws_00.sock"),
        Upstream("one-ws_01", unix="/run/ws/current/ws_01.sock"),
    ]


def test_upstreams_of_tiers(tiers: MakeSettings) -> None:
    settings = tiers({"processes": 2})
    expected = [
        Upstream("app1-ws_00", address="10.0.0.1", port=8000),
        Upstream("app1-ws_01", address="10.0.0.1", port=8001),
        Upstream("app2-ws_00", address="fd00::2", port=8000),
        Upstream("app2-ws_01", address="fd00::2", port=8001),
    ]
    # The same for each proxy, host after host, in the inventory's order.
    assert (
        upstreams.upstreams(Target(settings, "lb1", Survey()))
        == upstreams.upstreams(Target(settings, "lb2", Survey()))
        == expected
    )
    assert nginx_conf.addresses(Target(settings, "lb1", Survey())) == [
        "10.0.0.1:8000",
        "10.0.0.1:8001",
        "[fd00::2]:8000",
        "[fd00::2]:8001",
    ]


def test_upstreams_of_hosts_with_processes_of_their_own_number(
    tiers: MakeSettings, make: MakeSettings, debian: MakeSurvey
) -> None:
    settings = tiers({"processes": "auto"})
    survey = replace(debian(processors=64), app_processes={"app1": 2, "app2": 3})
    found = [(it.address, it.port) for it in upstreams.upstreams(Target(settings, "lb1", survey))]
    assert found == [
        *(("10.0.0.1", 8000 + number) for number in range(2)),
        *(("fd00::2", 8000 + number) for number in range(3)),
    ]
    for module in (nginx, haproxy):
        files = {
            file.path: file.content for file in module.files(Target(settings, "lb1", survey)).files
        }
        (note,) = [text for path, text in files.items() if path.endswith("/ws.processes")]
        assert note == "app1 2\napp2 3\n"
    survey = Survey(texts={"/etc/haproxy/ws.processes": note.strip()})
    assert process_counts.cached(Target(settings, "lb1", survey)) == {"app1": 2, "app2": 3}
    # Who is alone knows it, and a shared port is one whatever the number.
    for other in (make({"processes": "auto"}), tiers({"processes": "auto", "listen": "shared"})):
        assert not process_counts.are_cached(other)
        assert not process_counts.cache_file(Target(other, "one", survey), "/etc/nginx")
    assert (
        len(upstreams.upstreams(Target(make({"processes": "auto"}), "one", debian(processors=6))))
        == 6
    )


def test_upstreams_of_a_shared_port(tiers: MakeSettings) -> None:
    settings = tiers({"processes": 2, "listen": "shared"})
    assert upstreams.ports(settings, 1) == [8000]
    assert upstreams.upstreams(Target(settings, "lb2", Survey())) == [
        Upstream("app1-ws", address="10.0.0.1", port=8000),
        Upstream("app2-ws", address="fd00::2", port=8000),
    ]


def test_names_are_unique_and_do_not_change_with_more_processes(tiers: MakeSettings) -> None:
    few = [u.name for u in upstreams.upstreams(Target(tiers({"processes": 3}), "lb1", Survey()))]
    many = [u.name for u in upstreams.upstreams(Target(tiers({"processes": 99}), "lb1", Survey()))]
    assert set(few) <= set(many)
    assert len(set(many)) == len(many) == 2 * 99


SPARE = ("10.0.0.31", "fd00::31")


def test_haproxy_has_the_hosts_that_may_not_exist(tiers: MakeSettings, debian: MakeSurvey) -> None:
    plain = tiers({"processes": 2}, proxy=HAProxy())
    settings = plain.placed(replace(plain.topology, spare=SPARE))
    before, after = (Target(it, "lb1", debian()) for it in (plain, settings))
    known = haproxy_cfg.servers(before)
    assert haproxy_cfg.servers(after) == [
        *known,
        haproxy_cfg.Server("10.0.0.31-ws_00", "10.0.0.31:8000"),
        haproxy_cfg.Server("10.0.0.31-ws_01", "10.0.0.31:8001"),
        haproxy_cfg.Server("fd00::31-ws_00", "[fd00::31]:8000"),
        haproxy_cfg.Server("fd00::31-ws_01", "[fd00::31]:8001"),
    ]
    # Each is asked for its health, which takes an open file.
    assert haproxy.fits(before) - haproxy.fits(after) == 2
    # How far a request goes is for hosts that are there.
    assert upstreams.tries(before) == upstreams.tries(after)


def test_hosts_that_may_not_exist_have_one_shared_port(tiers: MakeSettings) -> None:
    plain = tiers({"processes": "auto", "listen": "shared", "port": 9000}, proxy=HAProxy())
    settings = plain.placed(replace(plain.topology, spare=SPARE[:1]))
    assert upstreams.spare(settings) == [Upstream("10.0.0.31-ws", address="10.0.0.31", port=9000)]


def test_app_hosts_do_not_notice_spare_addresses(tiers: MakeSettings, debian: MakeSurvey) -> None:
    plain = tiers({"processes": 2}, proxy=HAProxy())
    settings = plain.placed(replace(plain.topology, spare=SPARE))
    before, after = (Target(it, "app1", debian()) for it in (plain, settings))
    assert firewall.files(before) == firewall.files(after)
    assert system.files(before) == system.files(after)
