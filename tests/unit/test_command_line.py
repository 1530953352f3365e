"""What a command line says of a run, before any host is contacted."""

import inspect
import signal
import subprocess
import sys
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
        (["--config", "other.py", "prod.py", "wsdeploy.rollback", "to=1"], ("rollback", ROLLBACK)),
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


def test_a_question_that_nobody_answers_ends_the_run_with_a_line() -> None:
    def nobody(prompt: str) -> None:
        raise EOFError

    with pytest.raises(SystemExit, match="no terminal; give -y"):
        command_line.answered(nobody, "give -y")("Go on?")
    assert command_line.answered(str.upper, "")("yes") == "YES"
    assert command_line.answered(nobody, "")("One of more hosts failed, continue?") is False


def test_where_pyinfra_asks() -> None:
    # In a process of its own: pyinfra's command line replaces parts of Python when it is imported.
    names = command_line.QUESTIONS
    code = "".join(f"import {module}; {module}.{name}\n" for module, name in names)
    code += "assert 'input' in pyinfra_cli.cli._do_confirm.__code__.co_names\n"
    code += "assert 'failed' in str(pyinfra_cli.cli._set_fail_prompts.__code__.co_consts)\n"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[h] Could not connect ([Errno 113] No route to host)", "--exclude"),
        (
            "[h] SSH error (StrictPolicy: No host key for h found in known_hosts)",
            "known_hosts; for CI",
        ),
        ("No host key for h found in known_hosts, accepting & adding to host keys file", None),
        ("[h] Connected", None),
    ],
)
def test_a_line_of_pyinfras_names_the_way_out(line: str, words: str | None) -> None:
    found = command_line.hint(line)
    assert found.startswith(line)
    assert words in found if words else found == line


def test_python_finds_the_module_of_a_file_that_pyinfra_runs(
    project: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deploy.py").write_text("frame = __import__('sys')._getframe()\n")
    found: dict[str, str] = {}
    exec(compile((tmp_path / "deploy.py").read_text(), "deploy.py", "exec"), found)  # noqa: S102
    assert inspect.getmodule(found["frame"]) is None
    monkeypatch.setattr(sys, "argv", ["pyinfra", "prod.py", "deploy.py"])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    command_line.begin()
    assert inspect.getmodule(found["frame"]) is sys.modules["deploy.py"]
