"""Whatever the settings and the host: limits that fit together."""

import itertools

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy.plan.host import limits as derived
from wsdeploy.plan.host.limits import CLOSE_TIMEOUT, OPEN_TIMEOUT
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target

CONNECTIONS = (1, 1000, 10_000, 12_345, 100_000, 1_000_000)
CEILINGS = (1024, 4096, 20_000, 65_536, 524_288, 1_048_576)
PROCESSORS = (1, 2, 64)
PROCESSES = (1, 4, 99)


def complains(shortfall: str | None, held: int, connections: int, ceiling: int) -> bool:
    """Whether a shortfall is told exactly if there is one, with all three numbers."""
    if held >= connections:
        return shortfall is None
    return shortfall is not None and all(
        f"{number:,}" in shortfall for number in (held, connections, ceiling)
    )


def test_limits_of_a_host(make: MakeSettings, debian: MakeSurvey) -> None:
    for connections, ceiling, processors, processes in itertools.product(
        CONNECTIONS, CEILINGS, PROCESSORS, PROCESSES
    ):
        settings = make({"processes": processes}, max_connections=connections)
        limits = Target(settings, "one", debian(open_files=ceiling, processors=processors)).limits
        assert limits.open_files == ceiling
        # nginx warns of more connections than files, and does not use the last sixteenth of them.
        assert limits.worker_connections <= limits.worker_files <= ceiling
        used = (limits.worker_connections - 1) * 15 // 16
        assert limits.worker_connections - used > limits.worker_connections / 16
        # Files that are no connections.
        assert used + 60 < limits.worker_files
        if limits.worker_files < ceiling:
            assert limits.worker_files >= 2 * limits.worker_connections
        assert 0 < limits.app_files <= ceiling
        assert limits.app_files > connections or limits.app_files == ceiling
        # net.core.somaxconn is kept in 32 bits, and listen() takes 16 of queue sensibly.
        assert min(connections, 4096) <= limits.backlog <= 65_535

        # A WebSocket takes two of a worker's connections.
        each = (used - limits.waiting) // 2
        workers = limits.workers or processors
        assert processors <= workers <= 4 * processors
        if limits.workers:
            assert each * (workers - 1) < connections, "a worker more than needed"
        held = each * workers
        assert limits.worker_clients == min(held, connections)
        assert limits.worker_room >= limits.worker_clients
        assert complains(limits.proxy_shortfall, held, connections, ceiling)
        # A process also has files open that are no clients.
        spare = limits.app_files < ceiling and limits.app_files - connections
        held = (ceiling - (spare or 128)) * processes
        assert complains(limits.app_shortfall, held, connections, ceiling)


def test_an_app_host_may_have_to_take_the_clients_of_all_proxies(
    tiers: MakeSettings, debian: MakeSurvey
) -> None:
    limits = Target(tiers(max_connections=5_000), "one", debian()).limits
    assert limits.app_files == 2 * 5_000 + 128
    limits = Target(
        tiers({"processes": 1}, max_connections=5_000), "one", debian(open_files=8_000)
    ).limits
    assert limits.app_shortfall == (
        "this host allows 8,000 open files per process, so its 1 app processes hold 7,872 clients, "
        "not the 10,000 of max_connections on all proxies"
    )
    auto = tiers({"processes": "auto"}, max_connections=5_000)
    assert derived.processes(auto, debian(open_files=2_628)) == 4


def test_a_shortfall_in_words(make: MakeSettings, debian: MakeSurvey) -> None:
    # One process can have 1024 files open; nginx' workers can hold far more.
    settings = make({"processes": 1}, max_connections=20_000)
    limits = Target(settings, "one", debian(open_files=1024, processors=64)).limits
    assert limits.proxy_shortfall is None
    assert limits.app_shortfall == (
        "this host allows 1,024 open files per process, so its 1 app processes hold 896 clients, "
        "not the 20,000 of max_connections"
    )
    limits = Target(settings, "one", debian(open_files=1024, processors=2)).limits
    assert limits.proxy_shortfall == (
        "this host allows 1,024 open files per process, so its 8 nginx workers hold 3,328 clients, "
        "not the 20,000 of max_connections"
    )


def test_timeouts_outlast_each_other(make: MakeSettings, debian: MakeSurvey) -> None:
    drains, pings = (0, 0.4, 0.5, 30, 59.5, 3600), (1, 1.5, 20, 300)
    for drain, interval, timeout in itertools.product(drains, pings, pings):
        settings = make({"drain": drain, "ping_interval": interval, "ping_timeout": timeout})
        limits = Target(settings, "one", debian()).limits
        assert limits.idle_timeout > interval + timeout
        # Who connects at the last moment is closed too, and may take its time to answer.
        assert limits.stop_wait > drain + max(CLOSE_TIMEOUT, OPEN_TIMEOUT)
        # A host that goes down has less time.
        assert limits.shutdown_drain == min(drain, 10)
        assert limits.unit_stop > limits.shutdown_drain + max(CLOSE_TIMEOUT, OPEN_TIMEOUT)


def test_more_connections_never_get_less(make: MakeSettings, debian: MakeSurvey) -> None:
    for smaller, larger in itertools.pairwise(CONNECTIONS):
        one, two = (
            Target(make(max_connections=n), "one", debian()).limits for n in (smaller, larger)
        )
        assert one.worker_connections <= two.worker_connections
        assert one.app_files <= two.app_files
        assert one.backlog <= two.backlog


def test_a_host_that_nothing_is_known_of(make: MakeSettings) -> None:
    limits = Target.unknown(make(), "one").limits
    assert limits.worker_connections >= 20_000
    assert limits.proxy_shortfall is limits.app_shortfall is None


def test_as_many_processes_as_a_host_has_processors(make: MakeSettings, debian: MakeSurvey) -> None:
    auto = {"processes": "auto"}
    for processors, open_files, connections, expected in (
        (1, 1_048_576, 10_000, 2),
        (2, 1_048_576, 10_000, 2),
        (8, 1_048_576, 10_000, 8),
        (128, 1_048_576, 10_000, 99),
        # 896 clients have room in each.
        (2, 1_024, 10_000, 12),
        (2, 1_024, 1_000_000, 99),
    ):
        host = debian(open_files=open_files, processors=processors)
        assert derived.processes(make(auto, max_connections=connections), host) == expected
        assert derived.processes(make({"processes": 3}), host) == 3
    assert derived.processes(make(auto), Survey(bare=True)) == 2
