"""What a command line says of a run, before any host is contacted."""

import pytest

from wsdeploy import command_line


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
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
def test_what_keeps_a_run_from_beginning(arguments, words):
    found = command_line.problem(arguments)
    assert found is None if words is None else found.startswith(words)


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["prod.py", "deploy.py"], True),
        (["-y", "prod.py", "wsdeploy.rollback", "to=1"], False),
        (["-y", "prod.py", "wsdeploy.unlock"], False),
        (["tests/hosts", "--inventory", "prod.py"], True),
    ],
)
def test_who_needs_the_apps_code(arguments, needed):
    assert command_line.deploys(arguments) is needed
