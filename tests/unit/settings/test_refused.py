"""What no program should get to see is refused by the settings, in one line."""

import pytest

from wsdeploy import (
    App,
    Edge,
    Firewall,
    FromCommand,
    FromEnv,
    FromFile,
    Probe,
    SelfSigned,
    Settings,
    SettingsError,
    hosts,
)
from wsdeploy.settings import secret_values
from wsdeploy.settings.section import Problem, Section

ZONE = "fe80::1%x}accept;#"


def refusals(section: Section) -> list[str]:
    return [str(problem) for problem in section.all_problems()]


@pytest.mark.parametrize(
    "section",
    [
        Firewall(allow=[f"tcp/9100 from {ZONE}"]),
        Firewall(ssh_from=[ZONE]),
        Edge(unlimited_networks=[ZONE]),
        SelfSigned(names=[ZONE]),
    ],
)
def test_an_address_with_a_zone(section: Edge | Firewall | SelfSigned) -> None:
    (line,) = refusals(section)
    assert ZONE in line


def test_everything_from_everywhere_is_no_firewall() -> None:
    for network in ("0.0.0.0/0", "::/0"):
        (line,) = refusals(Firewall(allow=[f"all from {network}"]))
        assert line.startswith(f"allow: 'all from {network}' given")
    assert refusals(Firewall(allow=["all from 10.0.0.0/8"])) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "::", "::1", "ff02::1"])
def test_a_private_address_that_no_other_host_reaches(address: str) -> None:
    with pytest.raises(SettingsError) as raised:
        hosts(
            Settings("ws.a-company.com", App("app.py"), SelfSigned()),
            app=[("app1", {"private_address": address})],
            proxy=[("lb1", {"private_address": "10.0.0.9"})],
        )
    lines = [str(problem) for problem in raised.value.problems]
    assert lines == [f"private_address: {address!r} given; give an address for app1"]


@pytest.mark.parametrize(
    "name", ["shadow", "admin", "filter", "disk", "adm", "docker", "tmp", "var", "home", "legacy"]
)
def test_names_that_debian_or_others_have(name: str) -> None:
    settings = Settings("ws.a-company.com", App("app.py"), SelfSigned(), name=name)
    assert any(line.startswith(f"name: {name!r} given") for line in refusals(settings))


def test_a_line_stays_one() -> None:
    assert str(Problem("origins", "a\nb\x1b[2J")) == "origins: a\\nb\\x1b[2J"


def test_a_variable_that_no_process_can_take() -> None:
    (line,) = refusals(App("app.py", env={"A": "x" * 140_000}))
    assert line.startswith("env: the value of A has 140,003 bytes, and a variable holds 131,000")
    many = {f"A{number}": "x" * 100_000 for number in range(11)}
    (line,) = refusals(App("app.py", env=many))
    assert line.startswith("env: all of it has 1,10")


def test_a_path_with_a_nul() -> None:
    assert len(refusals(FromFile("a\0"))) == 1


@pytest.mark.parametrize("source", [FromEnv("TOKEN"), FromCommand(["printenv", "TOKEN"])])
def test_the_probes_message_can_be_a_secret(
    monkeypatch: pytest.MonkeyPatch, source: FromCommand | FromEnv
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    app = App("app.py", probe=Probe(send=source, expect="hello"))
    assert secret_values.message(app) == "s3cret"
    assert "s3cret" not in repr(app)
    assert "s3cret" not in str(app.to_json())
    assert secret_values.values(app) == {}


def test_a_probes_message_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    app = App("app.py", probe=Probe(send=FromEnv("TOKEN")))
    (problem,) = secret_values.problems(app)
    assert str(problem).startswith("app.probe.send: $TOKEN is not set")
    with pytest.raises(secret_values.SecretError):
        secret_values.message(app)
