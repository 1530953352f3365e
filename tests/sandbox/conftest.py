"""Deploy to throwaway hosts with the real command line, as a user would."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pluggy
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

import wsdeploy_sandbox as sandbox
from tests.sandbox.site import PROJECT, Site
from wsdeploy import App, HAProxy, Nginx, SelfSigned, Settings
from wsdeploy.plan.host import firewall, upgrades
from wsdeploy.plan.proxy import acme, haproxy, internal, nginx
from wsdeploy_sandbox import Layer

SUITES = ("bookworm", "trixie")
PROXIES = ("Nginx", "HAProxy")


def installed(proxy: str) -> Layer:
    """What hosts have that were deployed to before: all packages, and no service that runs.

    Installing them is most of what the first deployment to a host costs, and test_one_host.py
    tests it on bare hosts.
    """
    chosen = {"Nginx": nginx, "HAProxy": haproxy}[proxy]
    kind = Nginx() if proxy == "Nginx" else HAProxy()
    settings = Settings("ws.a-company.com", App("files/app.py"), SelfSigned(), proxy=kind)
    packages = (
        "python3", "supervisor", "openssl", *chosen.PACKAGES, *internal.program(settings).packages,
        *acme.PACKAGES, *firewall.PACKAGES, *upgrades.packages(settings),
    )  # fmt: skip
    return Layer(tuple(dict.fromkeys(packages)), disabled=("supervisor.service", chosen.UNIT))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    """Show with a test that failed what its runs and its hosts have said."""
    report = (yield).get_result()
    site = getattr(item, "funcargs", {}).get("site")
    if site is None:
        return
    if report.failed and call.excinfo:
        with contextlib.suppress(subprocess.TimeoutExpired):
            report.sections += site.reports()
    if report.when == "call":
        site.said.clear()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--matrix",
        action="store_true",
        help="every combination of Debian release and proxy, not only those that cover the most",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a module for the combinations that its COMBINATIONS name, or for all of them."""
    if "combination" in metafunc.fixturenames:
        chosen = metafunc.module.COMBINATIONS
        if metafunc.config.getoption("--matrix"):
            chosen = list(itertools.product(SUITES, PROXIES))
        ids = ["-".join(combination).lower() for combination in chosen]
        metafunc.parametrize("combination", chosen, ids=ids, scope="module", indirect=True)


LONGEST = (
    "test_history",
    "test_generations",
    "test_deploys",
    "test_failover",
    "test_tiers",
    "test_join",
    "test_cluster",
    "test_cluster_envoy",
    "test_edge",
    "test_hardening",
    "test_internal_tls",
    "test_apps",
    "test_liveness",
    "test_one_host",
    "test_certificates",
    "test_project",
)
"""Modules that take minutes, the longest first: started last, one would keep all waiting for it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""

    def turn(item: pytest.Item) -> int:
        module = Path(item.path).stem
        return LONGEST.index(module) if module in LONGEST else len(LONGEST)

    items.sort(key=turn)


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]  # xdist has none
    """A module's combinations, each on hosts of its own, go to whichever worker is free."""

    def _split_scope(self, nodeid: str) -> str:
        module, _, test = nodeid.partition("::")
        combination = re.search(r"[\[-]((bookworm|trixie)(-nginx|-haproxy)?)\b", test)
        return f"{module} {combination[1] if combination else ''}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    # In the order of collection.
    config.option.loadscopereorder = False
    return SideBySide(config, log)


@pytest.fixture(scope="module")
def combination(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A Debian release and a proxy."""
    chosen: tuple[str, str] = request.param
    return chosen


@pytest.fixture(scope="module")
def make_site(
    combination: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Site]]:
    """Return a function that makes a site of fresh hosts, which go when the module ends.

    As root on one Debian release, as a user with sudo on the other: both have to work.
    bare: whether they are as an installer leaves them, or have the packages already.
    """
    suite, proxy = combination
    made = []

    def make(apps: list[str], proxies: list[str], *, bare: bool = False, **settings: str) -> Site:
        # Those of another combination may be there at the same time.
        apps, proxies = (
            [f"{name}-{suite}-{proxy.lower()}" for name in it] for it in (apps, proxies)
        )
        names = list(dict.fromkeys([*apps, *proxies]))
        sandbox.down(*names)
        requests = [f"{name}:{suite}" for name in names]
        layer = None if bare else installed(proxy)
        hosts = {host.name: host for host in sandbox.up(*requests, layer=layer)}
        made.extend(names)
        site = Site(
            apps=[hosts[name] for name in apps],
            proxies=[hosts[name] for name in proxies],
            user="root" if suite == "bookworm" else "admin",
            folder=tmp_path_factory.mktemp(names[0]),
            settings={
                "domain": repr(hosts[proxies[0]].domain),
                "app": 'App("files/app.py", processes=2, drain=2, '
                'probe=Probe(send="hello", expect="hello"))',
                "proxy": f"{proxy}()",
                "tls": "SelfSigned()",
            }
            | settings,
        )
        site.write()
        return site

    yield make
    if made and not os.environ.get("KEEP_SANDBOX"):
        sandbox.down(*made)


@pytest.fixture
def once(request: pytest.FixtureRequest, combination: tuple[str, str]) -> None:
    """For tests that take long and say the same of every combination: one has them."""
    if combination != ("trixie", "HAProxy") and not request.config.getoption("--matrix"):
        pytest.skip("only with --matrix")


@pytest.fixture(scope="session")
def kill_run() -> Callable[..., None]:
    """Return a function that deploys, and kills pyinfra in the middle of an operation.

    After so many seconds of it, or when something is true.
    """

    def kill(
        site: Site, operation: str, after: float = 0, until: Callable[[], object] | None = None
    ) -> None:
        run = subprocess.Popen(
            site.command("deploy.py", "-y"),
            cwd=site.project,
            env=site.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = []
        assert run.stderr is not None
        for line in run.stderr:
            lines.append(line)
            if "Starting" in line and operation in line:
                break
        else:
            site.note(["deploy.py", "-y"], run.wait(), "".join(lines))
            pytest.fail(f"{operation} was never started")
        site.note(["deploy.py", "-y"], f"none, to be killed in {operation}", "".join(lines))
        while until and not until():
            assert run.poll() is None, f"{operation} has ended before it could be killed"
        # A moment in a step can only be chosen by the clock.
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(after)
        run.send_signal(signal.SIGKILL)
        run.wait()

    return kill


@pytest.fixture
def copy(site: Site, tmp_path: Path) -> Iterator[Path]:
    """A copy of the project, to break something in; the site deploys with it meanwhile."""
    target = tmp_path / "project"
    ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", "tests")
    shutil.copytree(PROJECT, target, ignore=ignored)
    site.project = target
    yield target
    site.project = PROJECT
