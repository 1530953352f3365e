"""`pyinfra INVENTORY debug-inventory` shows settings as JSON, without secrets."""

import json

import pytest

from tests.unit.settings.conftest import MakeSettings
from wsdeploy import App, Behind, CertFiles, Edge, Nginx, Probe, SelfSigned
from wsdeploy.settings import Settings


@pytest.fixture
def full(make: MakeSettings) -> Settings:
    return make(
        app=App(
            "app.py",
            env={"TOKEN": "s3cret", "OTHER": "h1dden"},
            probe=Probe("/chat", send="x", expect="x"),
        ),
        proxy=Nginx(access_log=False),
        tls=SelfSigned(names=["10.0.0.1"]),
        edge=Edge(behind=Behind(["192.0.2.0/24"], "proxy-protocol")),
    )


def test_round_trip(full: Settings) -> None:
    shown = json.loads(json.dumps(full.to_json()))
    assert shown["kind"] == "Settings"
    assert shown["domain"] == full.domain
    assert shown["app"]["kind"] == "App"
    assert shown["app"]["probe"]["path"] == "/chat"
    assert shown["tls"]["kind"] == "SelfSigned"
    assert (shown["tls"]["names"], shown["tls"]["days"]) == (["10.0.0.1"], 365)
    assert shown["edge"]["behind"]["networks"] == ["192.0.2.0/24"]


def test_names_of_variables_but_not_their_values(full: Settings) -> None:
    text = json.dumps(full.to_json())
    assert "TOKEN" in text
    assert "OTHER" in text
    assert "s3cret" not in text
    assert "h1dden" not in text


def test_sections_that_are_wrong_can_be_shown_too(make: MakeSettings) -> None:
    json.dumps(make(app=App(), tls=CertFiles("cert.pem")).to_json())


def test_a_repr_shows_no_value_of_a_variable(full: Settings) -> None:
    assert "s3cret" not in repr(full)
    assert "h1dden" not in f"{full.app}"
