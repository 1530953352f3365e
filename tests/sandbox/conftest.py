"""Deploy to throwaway hosts with the real command line, as a user would."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess

import pytest

from tests.sandbox.site import PROJECT, Site
from wsdeploy import sandbox

SUITES = ("bookworm", "trixie")
PROXIES = ("Nginx", "HAProxy")


def pytest_addoption(parser):
    parser.addoption(
        "--matrix",
        action="store_true",
        help="every combination of Debian release and proxy, not only those that cover the most",
    )


def pytest_generate_tests(metafunc):
    """Run a module for the combinations that its COMBINATIONS name, or for all of them."""
    if "combination" in metafunc.fixturenames:
        chosen = metafunc.module.COMBINATIONS
        if metafunc.config.getoption("--matrix"):
            chosen = list(itertools.product(SUITES, PROXIES))
        ids = ["-".join(combination).lower() for combination in chosen]
        metafunc.parametrize("combination", chosen, ids=ids, scope="module", indirect=True)


@pytest.fixture(scope="module")
def combination(request):
    """A Debian release and a proxy."""
    return request.param


@pytest.fixture(scope="module")
def make_site(combination, tmp_path_factory):
    """Return a function that makes a site of fresh hosts, which go when the module ends.

    As root on one Debian release, as a user with sudo on the other: both have to work.
    """
    suite, proxy = combination
    made = []

    def make(apps: list[str], proxies: list[str], **settings: str) -> Site:
        names = list(dict.fromkeys([*apps, *proxies]))
        sandbox.down(*names)
        hosts = {host.name: host for host in sandbox.up(*(f"{name}:{suite}" for name in names))}
        made.extend(names)
        site = Site(
            apps=[hosts[name] for name in apps],
            proxies=[hosts[name] for name in proxies],
            user="root" if suite == "bookworm" else "admin",
            folder=tmp_path_factory.mktemp(names[0]),
            settings={
                "domain": repr(hosts[proxies[0]].domain),
                "app": 'App("files/app.py", processes=3, drain=2, '
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
def once(request, combination):
    """For tests that take long and say the same of every combination: one has them."""
    if combination != ("trixie", "HAProxy") and not request.config.getoption("--matrix"):
        pytest.skip("only with --matrix")


@pytest.fixture(scope="session")
def kill_run():
    """Return a function that deploys, and kills pyinfra in the middle of an operation."""

    def kill(site: Site, operation: str, after: float = 0) -> None:
        run = subprocess.Popen(
            site.command("deploy.py", "-y"),
            cwd=site.project,
            env=site.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in run.stderr:
            if "Starting" in line and operation in line:
                break
        else:
            pytest.fail(f"{operation} was never started")
        # A moment in a step can only be chosen by the clock.
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(after)
        run.send_signal(signal.SIGKILL)
        run.wait()

    return kill


@pytest.fixture
def copy(site, tmp_path):
    """A copy of the project, to break something in; the site deploys with it meanwhile."""
    target = tmp_path / "project"
    ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", "certificates", "tests")
    shutil.copytree(PROJECT, target, ignore=ignored)
    site.project = target
    yield target
    site.project = PROJECT
