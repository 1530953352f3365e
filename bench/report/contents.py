"""What docs/benchmarks.md is made of: the goals, the parts and the words around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.report.goals import Goal
from bench.report.plots import Plot

PROXIES = {"nginx": "nginx", "haproxy": "HAProxy"}
"""As parts of names, and as people call them."""


@dataclass(frozen=True)
class Part:
    """A section: some result files."""

    suite: str
    names: Mapping[str, str]
    """What people call what was measured, such as nginx, and the name of its result."""
    title: str
    text: str
    """What was measured, and how."""


def _messages(proxy: str) -> tuple[Goal, ...]:
    part, case = f"messages-{proxy}", "200 clients, 64 B"
    ours, direct = f"ours, TLS, {case}", f"processes, {case}"
    return (
        Goal("over TLS, to the guide's", "traffic", part, ours, "≥", 1.4, f"guide, TLS, {case}"),
        Goal(
            "no proxy and no TLS: the processes', to the guide's over TLS",
            "traffic", part, direct, "", None, f"guide, TLS, {case}",
        ),
        Goal("plain, to the processes'", "traffic", part, f"ours, plain, {case}", "≥", 0.8, direct),
        Goal("over TLS, to the processes'", "traffic", part, ours, "≥", 0.5, direct),
    )  # fmt: skip


def _memory(proxy: str) -> tuple[Goal, ...]:
    part = f"memory-{proxy}"
    return (
        Goal("compression off, KB", "traffic", part, "ours, TLS, compression off", "≤", 45),
        Goal("as it is by default, KB", "traffic", part, "ours, TLS, default compression", "≤", 60),
    )


def _storm(proxy: str) -> tuple[Goal, ...]:
    part, back = f"storm-{proxy}", "at once, 99 % back"
    return (
        Goal("until 99 % are back, to the ideal", "deploys", part, back, "≤", 1.5, "ideal"),
        Goal("clients refused for good", "deploys", part, "at once, given up", "≤", 0),
    )


def _held(proxy: str) -> tuple[Goal, ...]:
    return (
        Goal(
            "held, to what open files allow", "traffic", f"held-{proxy}",
            "ours, TLS", "≥", 0.95, "allowed",
        ),
    )  # fmt: skip


GOALS: dict[str, tuple[Goal, ...]] = {
    "A run that finds nothing to do": (
        Goal(
            "1 host, to `pyinfra exec -- true`", "deploy", "nothing-1",
            "wsdeploy", "≤", 2.0, "pyinfra exec true",
        ),
        Goal("1 host, Ansible's to ours", "deploy", "nothing-1", "ansible", "≥", 8, "wsdeploy"),
        Goal("20 hosts, Ansible's to ours", "deploy", "nothing-20", "ansible", "≥", 12, "wsdeploy"),
        Goal(
            "1 host, seconds more with a round trip that is 50 ms longer", "deploy", "far",
            "wsdeploy, far", "≤", 1.5, "wsdeploy", minus=True,
        ),
    ),
    "A first run": (
        Goal("1 host, to the shell script's", "deploy", "first-1", "wsdeploy", "≤", 1.3, "script"),
    ),
}  # fmt: skip
for _title, _goals in {
    "Clients": _held,
    "Messages a second, 200 clients, 64 bytes": _messages,
    "Memory of an idle client over TLS": _memory,
    "All of 5,000 clients dropped at once": _storm,
}.items():
    for _proxy, _name in PROXIES.items():
        GOALS[f"{_title}: {_name}"] = _goals(_proxy)


def _both(name: str) -> dict[str, str]:
    return {called: f"{name}-{proxy}" for proxy, called in PROXIES.items()}


PARTS = (
    Part(
        "deploy",
        {
            "1 host": "nothing-1", "5 hosts": "nothing-5", "20 hosts": "nothing-20",
            "1 host, 50 ms away": "far",
        },
        "Runs that find nothing to do",
        "`deploy.py` once more, next to a playbook of Ansible's for the same job (pipelining, 20 "
        "forks, no facts), and next to pyinfra that only connects and runs `true`. *Far*: "
        "through a relay that adds 50 ms to each round trip, and counts what goes through it. "
        "[`bench/deploy/__init__.py`](../bench/deploy/__init__.py) says what each of them does.",
    ),
    Part(
        "deploy",
        {"1 host": "first-1", "5 hosts": "first-5", "20 hosts": "first-20"},
        "First runs",
        "The same on hosts that have just been made, next to a shell script that does the job "
        "over one SSH connection.",
    ),
    Part(
        "traffic", {"a program that answers": "generator"}, "The clients are not the bottleneck",
        "The client generator against a program that does nothing but answer. Rates of messages "
        "and plain handshakes stay far below these. Of a TLS handshake, clients take about half of "
        "the time, so processor times tell more than rates there. *Generator* is its processor "
        "time in each second.",
    ),
    Part(
        "traffic", _both("held"), "Clients held",
        "Clients connect until some are refused, and all who are in send messages "
        "for a second. "
        "*Allowed* is what the machine's limit of open files for a process allows at best.",
    ),
    Part(
        "traffic", _both("messages"), "Messages",
        "Each client sends a message when the echo of its last one is there. Processor time is "
        "that of a message and its echo. What is compared takes turns of a second, six in each "
        "round, with all clients connected; a compressed connection is one whose client offers "
        "it.",
    ),
    Part(
        "traffic", _both("profile"), "What takes a message's time",
        "Where perf finds the processors, 2,000 times a second, while 200 clients send messages "
        "of 64 bytes: in which program, and in what code of it.",
    ),
    Part(
        "traffic", _both("levels"), "Messages of more clients, and longer ones",
        "The same with 100, 1,000 and 5,000 clients, as far as a setup holds them, and with "
        "messages of 64 and of 4,096 bytes.",
    ),
    Part(
        "traffic", _both("handshakes"), "Handshakes",
        "Clients connect and leave, 32 at a time. *Resumed*: with the TLS session of the client's "
        "last connection.",
    ),
    Part(
        "traffic", _both("memory"), "Memory of a client",
        "Growth of what proxy, app and kernel take, for each client that has sent messages.",
    ),
    Part(
        "deploys", _both("redeploy"), "A restart of the app",
        "Clients are connected, and newcomers come one after the other, while the app is "
        "restarted: with `wsdeploy.restart`, and by restarting Supervisor, as the guides have no "
        "other way. Newcomers come throughout, and again after 0.1 s if they were refused; those "
        "who were closed come back as `websockets` does. With nginx as its guide has it, servers "
        "that have refused are left alone for ten seconds, and who is refused waits longer each "
        "time; a round ends after 30 seconds.",
    ),
    Part(
        "deploys", _both("storm"), "All clients at once",
        "*At once*: all lose their connections at the same moment, and come back at once. "
        "*Paced*: the app is restarted with `wsdeploy.restart`, which closes them over the drain "
        "time. *Ideal*: the time for 99 % of the handshakes at the rate that was measured just "
        "before, with clients and service on the same processors.",
    ),
)  # fmt: skip

_CASE = "200 clients, 64 B"
_RUNS = (
    Plot(
        "nothing-1", "deploy", "nothing-1", "Nothing to do, 1 host",
        ("pyinfra exec true", "wsdeploy", "ansible"),
    ),
    Plot(
        "nothing-20", "deploy", "nothing-20", "Nothing to do, 20 hosts",
        ("pyinfra exec true", "wsdeploy", "ansible"),
    ),
    Plot("first-1", "deploy", "first-1", "First run, 1 host", ("script", "wsdeploy", "ansible")),
)  # fmt: skip
_CLIENTS = tuple(
    plot
    for proxy, called in PROXIES.items()
    for plot in (
        Plot(
            f"messages-{proxy}", "traffic", f"messages-{proxy}",
            f"Messages a second through {called}, {_CASE}",
            tuple(
                f"{name}, {_CASE}"
                for name in ("processes", "ours, plain", "guide, plain", "ours, TLS", "guide, TLS")
            ),
        ),
        Plot(
            f"held-{proxy}", "traffic", f"held-{proxy}", f"Clients held with {called}",
            ("allowed", "ours, TLS", "guide, plain", "one process"),
        ),
        Plot(
            f"storm-{proxy}", "deploys", f"storm-{proxy}",
            f"Until 99 % of the clients are back, with {called}",
            ("ideal", "at once, 99 % back", "paced, 99 % back"),
        ),
    )
)  # fmt: skip

PLOTS = _RUNS + _CLIENTS
