"""Whole deployments through pyinfra's command line, on hosts that only answer.

A host answers the survey with what a test gives it. `converged` is what a host answers that has
all that the settings ask for; it is made from the plan itself.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import pyinfra_server
from wsdeploy import CertFiles, Settings
from wsdeploy.plan import components
from wsdeploy.plan.app import generation, supervisor
from wsdeploy.plan.components import COMPONENTS
from wsdeploy.plan.host import paths, system
from wsdeploy.plan.host.files import File
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import acme, failover, proxies, tls
from wsdeploy.plan.target import Target
from wsdeploy.release import contents

REPOSITORY = Path(__file__).parents[2]
BARE = {"bare": True, "system": {"id": "debian", "version": "12"}}
PROBED = "Welcome to this host!\nwsdeploy-probe-begins\n\n"
"""What a client without complaints prints, after what the host's shell prints."""
TAKEN = json.dumps({"taken": True, "before": None})
"""What the lock of a host answers that is free."""
EXCHANGE = re.compile(r"\[fake\] simulating (?:command|\w+_file) on (\S+): (.*)")
PROGRAM = re.compile(r"wsdeploy-(\w+)")

# What stands in front: deployments are tested with each of these.
PROXIES = ["Nginx()", "HAProxy()"]

INVENTORY = """\
import json
from pyinfra.connectors.fake import FakeConnector as _Fake
from wsdeploy import *

_run = _Fake.run_shell_command


def _with_input(self, command, *rest, _stdin=None, **more):
    # These hosts take no notice of standard input, and succeed with all that they don't know.
    if "cat >&2; exit 1" in str(command):
        said = {{"success": False, "stderr": [str(line) for line in _stdin]}}
        self.data = {{**self.data, "fake_responses": {{"cat": said}}}}
    return _run(self, command, *rest, _stdin=_stdin, **more)


_Fake.run_shell_command = _with_input

settings = {source}
answers = json.loads({answers!r})
named = {{n: (n, {{"fake_responses": a}}) for n, a in answers.items()}}
{groups}
"""

# Each host is app and proxy for itself.
ALONE = "app, proxy = hosts(settings, app=named.values())"

# Hosts @fake/app… and @fake/lb….
TIERS = """
for number, (name, data) in enumerate(named.values()):
    data["private_address"] = f"10.0.0.{number}"
app, proxy = hosts(
    settings,
    app=[host for name, host in named.items() if "app" in name],
    proxy=[host for name, host in named.items() if "lb" in name],
)
"""

# Two hosts, each app and proxy, that reach each other.
PAIR = """
for number, (name, data) in enumerate(named.values(), 1):
    data["private_address"] = f"10.0.0.{number}"
app, proxy = hosts(settings, app=named.values())
"""


Answers = dict[str, dict[str, Any]]
"""What each host answers the survey with."""
Spell = Callable[..., str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """The folder of an app without dependencies."""
    (tmp_path / "app.py").write_text("print('one')\n")
    return tmp_path


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> str:
    """A proxy, as an inventory file spells it."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def source(folder: Path) -> Spell:
    """Settings as an inventory file spells them."""

    def spell(
        processes: int | str = 4,
        app: str = "",
        tls: str = "SelfSigned()",
        proxy: str = "Nginx()",
        more: str = "",
    ) -> str:
        path = str(folder / "app.py")
        return (
            f'Settings("ws.a-company.com", App({path!r}, processes={processes!r}, {app}), {tls}, '
            f"{proxy}, {more})"
        )

    return spell


@dataclasses.dataclass(frozen=True)
class Fleet:
    """An inventory file: settings, names of hosts and their groups."""

    source: str
    names: tuple[str, ...] = ("@fake/one",)
    groups: str = ALONE

    def inventory(self, answers: Mapping[str, object]) -> str:
        """The file's text, with what each host answers."""
        return INVENTORY.format(source=self.source, answers=json.dumps(answers), groups=self.groups)

    @property
    def settings(self) -> Settings:
        variables: dict[str, Any] = {"__file__": "inventory.py"}
        nothing = dict.fromkeys(self.names)
        exec(self.inventory(nothing), variables)  # noqa: S102 (our own text)
        settings: Settings = variables["app"][1]["settings"]
        return settings


MakeFleet = Callable[..., Fleet]
Converged = Callable[..., Answers]


@pytest.fixture
def alone(source: Spell) -> MakeFleet:
    """Hosts that are app and proxy for themselves; without names, one."""

    def make(*names: str, **settings: Any) -> Fleet:
        names = tuple(f"@fake/{name}" for name in names) or ("@fake/one",)
        return Fleet(source(**settings), names)

    return make


@pytest.fixture
def pair(source: Spell) -> MakeFleet:
    """Two hosts that are app and proxy for themselves, and share an address."""

    def make(**settings: Any) -> Fleet:
        shared = {"more": 'failover=Failover(["10.0.0.77"])'}
        return Fleet(source(**shared | settings), ("@fake/one", "@fake/two"), PAIR)

    return make


@pytest.fixture
def tiers(source: Spell) -> MakeFleet:
    """Two app hosts behind a proxy."""

    def make(**settings: Any) -> Fleet:
        return Fleet(source(**settings), ("@fake/app1", "@fake/app2", "@fake/lb1"), TIERS)

    return make


def _entry(file: File) -> dict[str, Any]:
    digest = hashlib.sha256(file.content.encode()).hexdigest()
    return _path("file", file.mode, file.owner, file.group, sha256=digest)


def _path(
    kind: str, mode: int, owner: str = "root", group: str = "root", **more: str
) -> dict[str, Any]:
    return {"kind": kind, "mode": mode, "owner": owner, "group": group} | more


def _link(target: str) -> dict[str, Any]:
    return _path("link", 0o777, target=target)


def _running() -> dict[str, str]:
    return {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}


def _certificate(host: str, spare: bool) -> str:
    """What stands for a certificate between the tiers."""
    return f"-----BEGIN CERTIFICATE-----\n{host} {spare}\n-----END CERTIFICATE-----\n"


def _serving(target: Target) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """The paths and the processes of the generation that an app host should have."""
    name = target.name
    release = contents.release(target.settings, target.survey)
    wanted = generation.planned(target, release.id, release.main)
    there = {file.path: _entry(file) for file in wanted.files}
    there |= {
        f"{paths.releases(name)}/{release.id}": _path("directory", 0o755),
        paths.sockets(name, wanted.id): _path("directory", 0o2750, name, f"{name}-proxy"),
        paths.sockets(name, "current"): _link(wanted.id),
        f"/srv/{name}/current": _link(f"releases/{release.id}"),
        paths.record(name, wanted.id): _path("file", 0o600, sha256="0"),
    }
    processes = [
        {
            "group": f"{name}-{wanted.id}",
            "name": f"{name}_{number:02d}",
            "statename": "RUNNING",
            "pid": 1000 + number,
            "start": 1,
        }
        for number in range(target.processes)
    ]
    return there, processes


def _prepared(settings: Settings, host: str, processors: int) -> dict[str, Any]:
    """What a host answers that has its packages and its user."""
    name = settings.name
    versions = {"nginx": "1.22.1-9+deb12u10", "openssl": "3.0.22-1~deb12u2"}
    kernel = system.sysctl(Target.unknown(settings, host))
    return {
        "system": {
            "id": "debian",
            "version": "12",
            "architecture": "x86_64",
            "python": "3.11",
            "cloud_init": "done",
            "boot": "one",
        },
        "limits": {"open_files": 1_048_576, "processors": processors, "memory": 4 * 2**30},
        "packages": dict.fromkeys(components.packages(settings, host), "1.0-1") | versions,
        "users": [name],
        "groups": [f"{name}-proxy"],
        "units": {},
        "sysctl": {key: value for key, value, _ in kernel},
        "certificates": {},
        "texts": {},
        "firewall_as_loaded": True,
    }


def _counts(settings: Settings, processors: dict[str, int]) -> dict[str, int]:
    """How many processes each app host should have."""
    apps = {host: processors.get(host, 2) for host in settings.topology.app}
    found = {host: Survey(limits={"processors": number}) for host, number in apps.items()}
    return {host: Target(settings, host, it).processes for host, it in found.items()}


def _as_planned(settings: Settings, host: str, processors: dict[str, int]) -> dict[str, Any]:
    """What this host of a fleet answers that has all that it should have.

    processors: of hosts that have another number of them than two.
    """
    name, topology = settings.name, settings.topology
    chosen = proxies.chosen(settings)
    everyone = {
        each: tuple(_certificate(each, spare).strip() for spare in (False, True))
        for each in (*topology.app, *topology.proxy)
    }
    answer = _prepared(settings, host, processors.get(host, 2))
    if failover.wanted(settings):
        way = {"interface": "ens3", "router": None}
        there_on_lo = [f"{address}/32" for address in failover.shared(settings)]
        answer["network"] = {
            "addresses": {"lo": there_on_lo, "ens3": [f"{topology.addresses[host]}/24"]},
            "routes": {it: way for name, it in topology.addresses.items() if name != host},
            "vendor": "QEMU",
        }
    if acme.wanted(settings):
        answer["texts"] = {paths.thumbprint(name): "the-same-on-all"}
    counts = _counts(settings, processors)
    survey = dataclasses.replace(Survey.from_json(answer), app_processes=counts)
    there = {path: dataclasses.asdict(it) for path, it in system.folders(settings).items()}
    if settings.internal_tls:
        answer["certificates"] |= {
            paths.host_keypair(name, spare): {
                "not_after": "2100-01-01 00:00:00Z",
                "names": "",
                "pem": _certificate(host, spare),
            }
            for spare in (False, True)
        }
    survey = dataclasses.replace(Survey.from_json(answer), app_processes=counts)
    target = Target(settings, host, survey, everyone)
    parts = [each for each in COMPONENTS if each.on(target) and each.wanted(target)]
    sets = [each.files(target) for each in parts]
    units = [each.unit(settings) for each in parts if each.unit]
    if target.is_app:
        serving, answer["processes"] = _serving(target)
        there |= serving
        started = supervisor.started(settings)
        there[started.path] = _entry(started)
    if target.is_proxy:
        answer["served"] = True
        started = chosen.started(target)
        there[started.path] = _entry(started)
        certificate, key = paths.certificate(name), paths.key(name)
        there |= {
            certificate: _path("file", 0o644, sha256="0"),
            key: _path("file", 0o600, sha256="0"),
            f"{certificate}.key": _link("key.pem"),
        }
        if acme.wanted(settings):
            there[acme.issued_path(settings)] = _entry(acme.issued(settings))
        if not isinstance(settings.tls, CertFiles):
            found = ", ".join(f"DNS:{each}" for each in tls.names(settings))
            answer["certificates"] |= {
                certificate: {
                    "not_after": "2100-01-01 00:00:00Z",
                    "names": found,
                    "issuer": "itself",
                }
            }
    for files in sets:
        there |= {file.path: _entry(file) for file in (*files.files, files.marker)}
    lists = [file for files in sets for file in files.files if "BEGIN CERT" in file.content]
    answer["texts"] |= {file.path: file.content.strip() for file in lists}
    return answer | {"paths": there, "units": {unit: _running() for unit in units}}


@pytest.fixture
def converged() -> Converged:
    """Make what the hosts of a fleet answer that have all that they should have."""

    def make(fleet: Fleet, **processors: int) -> dict[str, dict[str, Any]]:
        named = {f"@fake/{name}": number for name, number in processors.items()}
        settings = fleet.settings
        return {host: _as_planned(settings, host, named) for host in fleet.names}

    return make


@dataclasses.dataclass
class Run:
    """What a run of pyinfra did and said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def exchanges(self) -> dict[str, int]:
        """How many commands were sent to each host."""
        sent = [host for host, _ in EXCHANGE.findall(self.err)]
        return {host: sent.count(host) for host in sent}

    @property
    def programs(self) -> list[tuple[str, str]]:
        """Host and name of each program that was sent, in order, but for those of `locks`."""
        return [(host, name) for host, name in self._sent if name != "lock"]

    @property
    def locks(self) -> list[str]:
        """Hosts whose lock was taken or released, in order."""
        return [host for host, name in self._sent if name == "lock"]

    @property
    def _sent(self) -> list[tuple[str, str]]:
        found = []
        # Commands go over several lines, the last of which has the name.
        host = None
        for line in self.err.splitlines():
            if match := EXCHANGE.search(line):
                host = match[1]
                if "sh -s" in match[2]:
                    found.append((host, "install_packages"))
            if host and (match := PROGRAM.search(line)):
                found.append((host, match[1]))
                host = None
        return found

    def programs_of(self, host: str) -> list[str]:
        """Names of the programs that were sent to a host, in order."""
        return [name for sent_to, name in self.programs if sent_to == f"@fake/{host}"]

    @property
    def totals(self) -> dict[str, int]:
        totals: dict[str, int] = json.loads(self.out)["results"]["totals"]
        return totals

    @property
    def changed(self) -> dict[str, list[str]]:
        """The operations that changed something, each with its hosts."""
        operations = json.loads(self.out)["results"]["operations"]
        found: dict[str, list[str]] = {}
        for operation in operations:
            # Those that hosts take turns with are there once for each turn.
            found.setdefault(operation["name"], []).extend(operation["success"])
        return {name: sorted(hosts) for name, hosts in found.items() if hosts}

    def changed_on(self, host: str) -> set[str]:
        """The operations that changed something on a host."""
        return {name for name, hosts in self.changed.items() if f"@fake/{host}" in hosts}

    def to_change(self, host: str) -> set[str]:
        """The operations that a dry run would change something with on a host."""
        operations = json.loads(self.out)["plan"]
        return {o["name"] for o in operations if f"@fake/{host}" in o["hosts_with_change"]}


Deploy = Callable[..., Run]


@pytest.fixture
def deploy(folder: Path) -> Deploy:
    """Run deploy.py on the hosts of a fleet, each with the survey it answers, and what else.

    what: another command in its place.
    """

    def run(
        fleet: Fleet,
        surveys: Mapping[str, Any],
        *options: str,
        others: dict[str, dict[str, Any]] | None = None,
        what: Sequence[str] = ("deploy.py",),
    ) -> Run:
        answers = {}
        for name, survey in surveys.items():
            text = survey if isinstance(survey, str) else json.dumps(survey)
            base = {"wsdeploy-survey": text, "wsdeploy-probe": PROBED, "wsdeploy-lock": TAKEN}
            answers[name] = base | (others or {}).get(name, {})
        (folder / "inventory.py").write_text(fleet.inventory(answers))
        done = pyinfra_server.run(
            [folder / "inventory.py", *what, *options],
            cwd=REPOSITORY,
            env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
            timeout=120,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def bare() -> Converged:
    """What the hosts of a fleet answer that are just installed."""
    return lambda fleet: dict.fromkeys(fleet.names, BARE)
