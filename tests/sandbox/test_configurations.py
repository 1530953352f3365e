"""What is rendered for a matrix of settings, before the programs of both Debian releases.

Each release's nginx and HAProxy check all of it in one exchange, with the commands that a
deployment checks its staged files with, and may find neither errors nor warnings.
"""

import itertools
import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import wsdeploy_sandbox as sandbox
from tests.sandbox.site import PROJECT
from wsdeploy import inventory
from wsdeploy.plan.host import paths, remote
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import Request, Survey
from wsdeploy.plan.proxy import haproxy, internal, nginx, proxies
from wsdeploy.plan.target import Target
from wsdeploy_sandbox import ssh
from wshost.certificates import host_keypairs

INVENTORY = """\
from wsdeploy import *

settings = Settings(
    domain={domain!r},
    app=App({app!r}, {app_options}),
    proxy={proxy}({proxy_options}),
    {options}
)
app, proxy = hosts(settings, app={apps!r}, proxy={proxies!r})
"""

ALONE: list[tuple[str, dict[str, str]]] = [("web1.a-company.com", {})]
APPS4 = [("app1", {"private_address": "10.0.0.1"}), ("app2", {"private_address": "10.0.0.2"})]
APPS6 = [("app1", {"private_address": "fd00::1"}), ("fd00::2", {"private_address": "fd00::2"})]
PROXY = [("lb1", {"private_address": "10.0.0.9"}), ("lb2", {"private_address": "10.0.0.8"})]

SELF_SIGNED = "tls=SelfSigned()"
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "one process": {"app_options": "processes=1"},
    "99 processes": {"app_options": "processes=99"},
    "a process for each core": {"app_options": "processes='auto'"},
    "one client": {"options": f"{SELF_SIGNED}, max_connections=1"},
    "a million clients": {
        "app_options": "processes=99",
        "options": f"{SELF_SIGNED}, max_connections=1_000_000",
    },
    "names": {
        "options": 'tls=SelfSigned(names=["10.9.8.7", "2001:db8::1", "b.a-company.com"])',
    },
    "long names": {
        "domain": ".".join(["a" * 60] * 4),
        "options": f'{SELF_SIGNED}, name="abcdefghijklmnopqr-9"',
    },
    "no log": {"proxy_options": "access_log=False", "options": f'{SELF_SIGNED}, name="chat-2"'},
    "short and fractional times": {
        "app_options": "ping_interval=1.5, ping_timeout=2.5, drain=0.5",
        "proxy_options": "shutdown_timeout=10.5",
    },
    "long times": {
        "app_options": "ping_interval=300, ping_timeout=300, drain=3600",
        "proxy_options": "shutdown_timeout=86400",
    },
    "own health check": {"app_options": "health='/up?a=%20&b=c'"},
    "no health check": {"app_options": "health=None"},
    "tcp": {"app_options": 'listen="tcp"'},
    "shared port": {"app_options": 'listen="shared"'},
    "tiers": {"apps": APPS4, "proxies": PROXY},
    "tiers with a process for each core": {
        "app_options": "processes='auto'", "apps": APPS4, "proxies": PROXY
    },
    "tiers with a shared port": {
        "app_options": 'listen="shared"', "apps": APPS4, "proxies": PROXY
    },
    "tiers with IPv6": {"app_options": "processes=99", "apps": APPS6, "proxies": PROXY},
    "tiers with TLS": {
        "apps": APPS4, "proxies": PROXY, "options": f"{SELF_SIGNED}, internal_tls=True"
    },
    "tiers with TLS and IPv6": {
        "app_options": "processes=99", "apps": APPS6, "proxies": PROXY,
        "options": f"{SELF_SIGNED}, internal_tls=True, max_connections=1_000_000",
    },
}  # fmt: skip
PROXIES = ("Nginx", "HAProxy")

EDGES: dict[str, str] = {
    "origins": 'origins=["https://a-company.com", "https://*.a-company.com:*", "null"]',
    "origins that are required": 'origins=["http://[::1]:3000"], origin_required=True',
    "a hundred origins": 'origins=[f"https://a{n}.a-company.com" for n in range(100)]',
    "paths": 'paths=["/", "/chat", "/rooms/*", "/a+b,c@d/~e=f!"], plain_paths=["/*"]',
    "long paths": 'paths=["/*", *["/" + letter * 199 + "*" for letter in "abc"]]',
    "one of each": "handshakes_per_second=1, connections=1, header_size=1024",
    "much of each": (
        "handshakes_per_second=100_000, connections=1_000_000, header_size=32_768,"
        'unlimited_networks=["192.0.2.1", "2001:db8::/32"]'
        '+ [f"10.{n}.0.0/16" for n in range(200)]'
    ),
} | {
    f"behind {header}{', and direct' if direct else ''}": (
        f'behind=Behind(["192.0.2.0/24", "2001:db8::1"], {header!r}, direct={direct})'
    )
    for header in ("proxy-protocol", "x-forwarded-for")
    for direct in (False, True)
}
CASES |= {
    f"edge: {name}": {"options": f"{SELF_SIGNED}, edge=Edge({options})"}
    for name, options in EDGES.items()
} | {
    "modern": {"options": "tls=SelfSigned(policy='modern', hsts=0)"},
    "subdomains": {"options": "tls=SelfSigned(hsts=300, hsts_subdomains=True)"},
}
# nginx has one for everybody.
LACKING = {("Nginx", "edge: behind proxy-protocol, and direct")}

# Reads a list of cases, checks each in a staged tree of its own, and answers with what was printed.
CHECKER = """
import base64, json, pathlib, subprocess, sys, tempfile
answers = []
for case in json.load(sys.stdin):
    with tempfile.TemporaryDirectory() as stage:
        for file in case["files"]:
            path = pathlib.Path(stage + file["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(file["content"]))
        answer = []
        for command in case["commands"]:
            done = subprocess.run(
                [word.replace("{stage}", stage) for word in command],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            answer.append((done.returncode, done.stdout))
        answers.append(answer)
json.dump(answers, sys.stdout)
"""

# What a deployment has put in place before it comes to the proxy. $1: a service's name.
GROUND = """
getent group "$1-proxy" >/dev/null || groupadd "$1-proxy"
mkdir -p "/run/$1" "/etc/$1/tls" "/var/log/$1"
[ -e "/etc/$1/tls/key.pem" ] || openssl req -x509 -noenc -newkey ec \
    -pkeyopt ec_paramgen_curve:P-256 -keyout "/etc/$1/tls/key.pem" -out "/etc/$1/tls/cert.pem" \
    -subj /CN=ws.a-company.com -addext subjectAltName=DNS:ws.a-company.com 2>/dev/null
cat "/etc/$1/tls/key.pem" "/etc/$1/tls/cert.pem" >"/etc/$1/tls/internal.pem"
# nginx's check binds to the addresses that it will listen on.
ip address replace 10.0.0.1/32 dev lo
ip address replace fd00::1/128 dev lo nodad
"""

# HAProxy looks at its limit of open files only when it starts, for which there is no dry run.
START = ("timeout", "--preserve-status", "2", "haproxy", "-db", "-f")


PACKAGES = ("python3", "openssl", *nginx.PACKAGES, *haproxy.PACKAGES, *internal.NGINX.packages)


class Machine:
    """A host with both proxies installed, and neither running."""

    def __init__(self, host: sandbox.SandboxHost) -> None:
        self.host = host
        payload = remote.payload("survey.survey", Request(packages=PACKAGES).to_json())
        answer = self.run(remote.command("survey.survey"), "\n".join(payload) + "\n")
        self.survey = Survey.from_json(json.loads(answer))

    def run(self, command: str, text: str = "") -> str:
        """Run a command as root, with a text on its standard input, and return what it prints."""
        done = subprocess.run(
            ssh.command("root", self.host.address, command, batch=True),
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def check(
        self, filesets: Iterable[FileSet], commands: Sequence[Sequence[str]] | None = None
    ) -> list[list[tuple[int, str]]]:
        """Return exit codes and outputs of the commands for each set, by default its own checks."""
        cases = [
            {
                "files": [file.to_json() for file in fileset.files],
                "commands": commands or fileset.validate,
            }
            for fileset in filesets
        ]
        answers: list[list[tuple[int, str]]] = json.loads(
            self.run(f"python3 -c '{CHECKER}'", json.dumps(cases))
        )
        return answers


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    name = f"test-configurations-{request.param}"
    sandbox.down(name)
    layer = sandbox.Layer(tuple(dict.fromkeys(PACKAGES)), disabled=(nginx.UNIT, haproxy.UNIT))
    yield Machine(sandbox.up(f"{name}:{request.param}", layer=layer)[0])
    sandbox.down(name)


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str, str], inventory.Fleet]:
    """Return a function that reads the settings of a case from an inventory file."""

    def fleet(proxy: str, case: str) -> inventory.Fleet:
        blank: dict[str, object] = {
            "domain": "ws.a-company.com", "app": str(PROJECT / "files" / "app.py"),
            "app_options": "", "proxy_options": "", "options": SELF_SIGNED,
            "apps": ALONE, "proxies": ALONE,
        }  # fmt: skip
        file = tmp_path / "inventory.py"
        file.write_text(INVENTORY.format(**blank | CASES[case] | {"proxy": proxy}))
        return inventory.load(file)

    return fleet


@pytest.fixture
def plan(
    machine: Machine, load: Callable[[str, str], inventory.Fleet], certificate: str
) -> Callable[..., FileSet]:
    """Return a function that plans a case for the machine, and readies the machine for it.

    role: what to plan, a proxy or the TLS listener of an app host.
    """
    ready = set()

    def files(proxy: str, case: str, role: str = "proxy") -> FileSet:
        fleet = load(proxy, case)
        settings, host = fleet.settings, fleet.with_role(role)[0].name
        if settings.name not in ready:
            ready.add(settings.name)
            machine.run(f"sh -eus -- {settings.name}", GROUND)
        planned = internal if role == "app" else proxies.chosen(settings)
        everyone = {each.name: (certificate,) for each in fleet.hosts}
        return planned.files(Target(settings, host, machine.survey, everyone))

    return files


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    """Return a certificate between the tiers."""
    pair = tmp_path / "internal.pem"
    host_keypairs.make(pair, "ws.internal", 9)
    text = pair.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :].strip()


def test_no_errors_and_no_warnings(machine: Machine, plan: Callable[..., FileSet]) -> None:
    pairs = [case for case in itertools.product(PROXIES, CASES) if case not in LACKING]
    matrix = [(*case, "proxy") for case in pairs] + [
        (*case, "app") for case in itertools.product(PROXIES, CASES) if "TLS" in case[1]
    ]
    answers = machine.check([plan(*each) for each in matrix])
    bad = [
        f"{proxy}, {case}, {role}: {output}"
        for (proxy, case, role), answer in zip(matrix, answers, strict=True)
        for code, output in answer
        if code or re.search(r"(?i)warn|alert|emerg|error", output)
    ]
    assert not bad, "\n".join(bad)


def test_the_checks_can_fail(machine: Machine, plan: Callable[..., FileSet]) -> None:
    """A word that nginx and HAProxy don't know is found in the staged files, not in /etc."""
    for proxy in PROXIES:
        fileset = plan(proxy, "plain")
        broken = [file.to_json() for file in fileset.files]
        for file in broken:
            if file["path"] in (paths.NGINX_CONF, haproxy.CONFIGURATION):
                file["content"] = "Zm9vIGJhcjsK"  # foo bar;
        case = {"files": broken, "commands": fileset.validate}
        ((*_, (code, output)),) = json.loads(
            machine.run(f"python3 -c '{CHECKER}'", json.dumps([case]))
        )
        assert code, proxy
        assert "foo" in output


@pytest.mark.parametrize("case", ["one client", "a million clients", "tiers with IPv6"])
def test_haproxy_starts_within_the_hosts_limits(
    machine: Machine, plan: Callable[..., FileSet], case: str
) -> None:
    fileset = plan("HAProxy", case)
    machine.check([fileset])  # makes the link to the key
    ((answer,),) = machine.check([fileset], [(*START, f"{{stage}}{haproxy.CONFIGURATION}")])
    code, output = answer
    # 143: it ran until it was stopped.
    assert code in (0, 143), output
    assert "limit" not in output


def test_key_exchange_withstands_quantum_computers_where_openssl_can(
    machine: Machine, plan: Callable[..., FileSet]
) -> None:
    expected = machine.survey.system["version"] == "13"
    for proxy in PROXIES:
        text = "".join(file.content for file in plan(proxy, "plain").files)
        assert ("X25519MLKEM768" in text) is expected
