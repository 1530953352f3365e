"""What README.md and the workflows tell people and machines to run has to exist."""

import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wsdeploy
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.limits import BACKLOG_LEAST
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import App, SelfSigned, Settings
from wsdeploy_sandbox import cli

PROJECT = Path(__file__).parents[3]
README = (PROJECT / "README.md").read_text()
MAKEFILE = (PROJECT / "Makefile").read_text()


def commands() -> Iterator[list[str]]:
    """Yield the words of every command in README.md's shell blocks and code spans."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            yield shlex.split(line, comments=True)
    for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", README):
        if re.match(r"(make|pyinfra|pytest|sandbox|python -m) ", span):
            yield shlex.split(span)


def in_workflows() -> Iterator[list[str]]:
    """Yield the words of every one-line step of the workflows."""
    for workflow in (PROJECT / ".github/workflows").glob("*.yml"):
        for line in re.findall(r"^\s+(?:- )?run: ([\w.].+)$", workflow.read_text(), re.MULTILINE):
            yield shlex.split(line)


def calls(*names: str) -> list[pytest.ParameterSet]:
    """Return the commands whose program is one of these, without it and without its folder."""
    found = []
    for words in (*commands(), *in_workflows()):
        # Variables that are set for one command stand before it.
        program, *rest = itertools.dropwhile(lambda w: re.fullmatch(r"[A-Z_]+=.*", w), words)
        if program.removeprefix(".venv/bin/") in names:
            found.append(rest)
    return [pytest.param(words, id=" ".join(words)) for words in found]


@pytest.mark.parametrize("words", calls("make"))
def test_make(words: list[str]) -> None:
    for word in words:
        name, is_variable, _ = word.partition("=")
        pattern = rf"^{re.escape(name)} *\?=" if is_variable else rf"^{re.escape(name)}:"
        assert re.search(pattern, MAKEFILE, re.MULTILINE), f"the Makefile has no {name}"


@pytest.fixture(scope="module")
def pyinfra_help() -> str:
    """Return what pyinfra says of its options. Imported, it would patch this process."""
    command = [sys.executable, "-m", "pyinfra", "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("words", calls("pyinfra"))
def test_pyinfra(words: list[str], pyinfra_help: str) -> None:
    for option in (word for word in words if word.startswith("-")):
        assert re.search(rf"^\s+(-\w, )?{option}\b", pyinfra_help, re.MULTILINE), option
    inventory, *operations = (word for word in words if not word.startswith("-"))
    assert inventory == "INVENTORY" or (PROJECT / inventory).is_file()
    assert operations
    for operation in operations:
        module, _, name = operation.partition(".")
        if module == "wsdeploy":
            assert name in wsdeploy.COMMANDS
        else:
            assert operation == "debug-inventory" or (PROJECT / operation).is_file()


@pytest.mark.parametrize("words", calls("sandbox"))
def test_sandbox(words: list[str]) -> None:
    cli.parser().parse_args(words)


@pytest.mark.parametrize("words", calls("pytest"))
def test_pytest(words: list[str]) -> None:
    folder, *rest = words
    assert (PROJECT / folder / "conftest.py").is_file()
    options = (PROJECT / "wsdeploy/checks/plugin.py").read_text()
    for word in rest:
        assert f'"{word}"' in options if word.startswith("-") else (PROJECT / word).exists()


@pytest.mark.parametrize("words", calls("python"))
def test_python(words: list[str]) -> None:
    if words[0] == "-m":
        # Not imported: modules of others may do anything.
        module = PROJECT / f"{words[1].replace('.', '/')}.py"
        assert module.is_file() or words[1] in ("websockets",)
    else:
        assert (PROJECT / words[0]).is_file()


def test_commands_are_found() -> None:
    """The tests above are worth nothing if they see no commands."""
    for program in ("make", "pyinfra", "sandbox", "pytest", "python"):
        assert calls(program), program


@pytest.mark.parametrize("words", [words for words in in_workflows() if words[0] != "make"])
def test_workflows_run_programs_of_the_project(words: list[str]) -> None:
    program = PROJECT / words[0]
    assert program.is_file()
    assert program.stat().st_mode & 0o111


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("https://"):
            assert (PROJECT / target).exists(), target


def test_files_of_the_project_exist() -> None:
    """Paths in code spans that begin with a folder of the project."""
    folders = "|".join(
        path.name for path in PROJECT.iterdir() if path.is_dir() and path.name[0] != "."
    )
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", README):
        if not path.startswith("certificates/"):
            assert (PROJECT / path).exists(), path


@pytest.mark.parametrize(
    "path",
    [
        paths.NGINX_CONF,
        paths.etc("ws") + "/",
        paths.releases("ws"),
        paths.sockets("ws", "current"),
        paths.sockets("ws", "GENERATION"),
        paths.logs("ws", "GENERATION"),
        paths.environment("ws", "GENERATION"),
        paths.program("ws", "GENERATION"),
        paths.boot("ws"),
        paths.certificate("ws"),
        paths.key("ws"),
    ],
)
def test_places_on_a_host_are_named_as_they_are(path: str) -> None:
    assert f"`{path}" in README


def test_derived_numbers_are_the_derived_ones() -> None:
    limits = Target(
        Settings("ws.a-company.com", App("files/app.py"), SelfSigned()), "one", Survey()
    ).limits
    assert f"{limits.worker_connections:,} connections per worker follow by default" in README
    assert f"{BACKLOG_LEAST:,} or more per process and on nginx" in README
    assert f"Ping interval and ping time-out, and {limits.idle_timeout - 40} s more" in README
