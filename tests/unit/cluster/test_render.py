"""`wsdeploy render` of a cluster: a folder for kustomize, and nothing that is secret."""

import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from wsdeploy.cli import main

INVENTORY = """
from wsdeploy import *

settings = Settings(
    "ws.a-company.com",
    App("app.py", secrets={"API_KEY": FromFile("api-key")}),
    Acme("ops@a-company.com"),
)
service = pods(
    settings,
    Kubernetes(
        "chat",
        Image("registry.a-company.com/chat", base="debian@sha256:" + "a" * 64),
        WAY_IN,
    ),
)
"""
WAYS = {
    "ingress": 'Ingress(issuer="letsencrypt")',
    "route": 'HTTPRoute("public")',
    "haproxy": 'LoadBalancer("haproxy@sha256:" + "b" * 64, issuer="letsencrypt")',
}


def write(folder: Path, way: str = "ingress", inventory: str = INVENTORY) -> None:
    (folder / "api-key").write_text("secret-value\n")
    (folder / "chat.py").write_text(inventory.replace("WAY_IN", WAYS[way]))


@pytest.fixture(autouse=True)
def _as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["wsdeploy", "render", "chat.py"])
    monkeypatch.setattr(sys, "path", [*sys.path])


def run(*words: str) -> Result:
    return CliRunner().invoke(main, [*words], catch_exceptions=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("way", WAYS)
def test_the_folder_names_all_its_files(folder: Path, way: str) -> None:
    write(folder, way)
    done = run("render", "chat.py", "--output", "out")
    assert done.exit_code == 0, done.output
    found = contents(folder / "out")
    assert all(
        text.startswith(b"# Made by wsdeploy render from chat.py") for text in found.values()
    )
    named = yaml.safe_load(found.pop("kustomization.yaml"))["resources"]
    assert {*named} == {*found}
    kinds = [yaml.safe_load(text)["kind"].lower() for text in found.values()]
    assert all(name.startswith(kind) for name, kind in zip(found, kinds, strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_is_written_or_shown(folder: Path, way: str) -> None:
    write(folder, way)
    done = run("render", "chat.py", "--output", "out")
    shown = run("render", "chat.py")
    everything = b"".join(contents(folder / "out").values()).decode() + done.output + shown.output
    assert "secret-value" not in everything
    assert "kind: Secret\n" not in everything
    assert "has to be there, with API_KEY" in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_same_in_another_folder_and_at_another_time(
    folder: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, way)
    run("render", "chat.py", "--output", "out")
    before = contents(folder / "out")
    run("render", str(folder / "chat.py"), "--output", "out")
    assert contents(folder / "out") == before
    other = folder / "other"
    other.mkdir()
    (other / "app.py").write_bytes((folder / "app.py").read_bytes())
    write(other, way)
    monkeypatch.chdir(other)
    run("render", "chat.py", "--output", "out")
    assert contents(other / "out") == before


def test_the_command_that_applies_it_is_printed(folder: Path) -> None:
    write(folder)
    assert run("render", "chat.py", "--output", "out").stdout == "kubectl apply -k out\n"
    write(folder, inventory=INVENTORY.replace("WAY_IN", 'WAY_IN, context="prod eu"'))
    done = run("render", "chat.py", "--output", "out").stdout
    assert done == "kubectl --context 'prod eu' apply -k out\n"


def test_a_folder_of_before_is_made_anew(folder: Path) -> None:
    write(folder, "haproxy")
    run("render", "chat.py", "--output", "out")
    write(folder, "ingress")
    assert run("render", "chat.py", "--output", "out").exit_code == 0
    found = contents(folder / "out")
    assert "ingress-ws.yaml" in found
    assert not [name for name in found if "proxy" in name]


def test_what_others_have_written_stays(folder: Path) -> None:
    write(folder)
    out = folder / "out"
    run("render", "chat.py", "--output", "out")
    (out / "own.yaml").write_text("kind: Own\n")
    before = contents(out)
    done = run("render", "chat.py", "--output", "out")
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("out has something else in it, own.yaml; ")
    assert contents(out) == before


@pytest.mark.parametrize("way", WAYS)
def test_another_release_is_another_image_and_nothing_else(folder: Path, way: str) -> None:
    # Proxies above all: new ones would cost everyone their connection once more.
    write(folder, way)
    run("render", "chat.py", "--output", "out")
    before = contents(folder / "out")
    (folder / "app.py").write_text("print('two')\n")
    run("render", "chat.py", "--output", "out")
    after = contents(folder / "out")
    changed = {name for name, text in after.items() if before[name] != text}
    # Its folder is among the app's variables.
    assert changed == {"configmap-ws.yaml", "deployment-ws.yaml"}


def test_a_cluster_is_checked(folder: Path) -> None:
    write(folder)
    done = run("check", "chat.py")
    first = done.output.splitlines()[0]
    assert first == "chat.py: no problem found; a cluster (namespace chat)"


def test_mistakes_end_with_lines(folder: Path) -> None:
    write(folder, inventory=INVENTORY.replace("Acme(", "SelfSigned() or Acme("))
    done = run("render", "chat.py")
    assert done.exit_code == 1
    assert done.output.splitlines()[0] == "chat.py: 1 problem; no host was contacted"


def test_a_template_of_ones_own_is_used(folder: Path) -> None:
    write(folder, "haproxy")
    own = folder / "templates" / "haproxy"
    own.mkdir(parents=True)
    (own / "haproxy.cfg.j2").write_text(
        '{% extends "wsdeploy/haproxy/haproxy.cfg.j2" %}\n'
        "{% block backend %}    http-request set-header X-Own yes\n{% endblock %}\n"
    )
    run("render", "chat.py", "--output", "out")
    text = (folder / "out/configmap-ws-proxy.yaml").read_text()
    assert "X-Own yes" in text
    assert "resolvers cluster" in text


def test_hosts_are_none_of_a_cluster(folder: Path) -> None:
    write(folder)
    done = run("render", "chat.py", "app1")
    assert (done.exit_code, done.output) == (
        1,
        "chat.py has a cluster and no hosts; leave out app1\n",
    )
