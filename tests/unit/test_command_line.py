"""What the words of a command line say of a run."""

from pathlib import Path

import pytest

from wsdeploy import command_line

ROLLBACK = "wsdeploy.rollback"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("prod.py", "deploy.py"):
        (tmp_path / name).touch()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prod.py", "deploy.py"], None),
        (["-y", "prod.py", "deploy.py"], None),
        (["--dry", "prod.py", "deploy.py"], None),
        (["--version"], None),
        (["-y", "prd.py", "deploy.py"], "prd.py: no such file in "),
    ],
)
def test_what_keeps_a_run_from_beginning(arguments: list[str], words: str | None) -> None:
    found = command_line.problem(arguments)
    assert found is None if words is None else (found or "").startswith(words)


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["prod.py", "deploy.py"], True),
        (["-y", "prod.py", "wsdeploy.rollback", "to=1"], False),
        (["-y", "prod.py", "wsdeploy.unlock"], False),
        (["tests/hosts", "--inventory", "prod.py"], True),
    ],
)
def test_who_needs_the_apps_code(arguments: list[str], needed: bool) -> None:
    assert command_line.deploys(arguments) is needed


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["-y", "prod.py", "deploy.py", "--limit", "app1"], ("deploy", "deploy.py")),
        (["prod.py", "base.py", "deploy.py"], ("deploy", "base.py deploy.py")),
        (["--config", "other.py", "prod.py", "wsdeploy.rollback"], ("rollback", ROLLBACK)),
        (["prod.py", "wsdeploy.rollback", "to=1"], ("rollback", f"{ROLLBACK} to=1")),
        (
            ["prod.py", "wsdeploy.rollback", "--data", "a=b", "--limit", "app1", "to=1"],
            ("rollback", f"{ROLLBACK} to=1"),
        ),
        (["prod.py", "wsdeploy.restart"], ("restart", "wsdeploy.restart")),
        (["prod.py", "wsdeploy.releases"], None),
        (["prod.py", "exec", "--", "uptime"], None),
        (["web1,web2", "exec", "--", "uptime"], None),
        (["--version"], None),
    ],
)
def test_what_a_run_does_to_what_serves(
    arguments: list[str], found: tuple[str, str] | None
) -> None:
    assert command_line.command(arguments) == found


def test_an_inventory_is_named_as_a_shell_takes_it() -> None:
    arguments = ["-y", "my fleet/prod.py", "deploy.py"]
    assert command_line.typed_inventory(arguments) == "'my fleet/prod.py'"
    assert command_line.typed_inventory(["--help"]) == ""
