"""What the pages and the workflows tell people and machines to run has to exist."""

import functools
import importlib.util
import itertools
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

import wsdeploy
import wsdeploy.cli
from tests.unit.docs import pages
from wsdeploy.project import layout
from wsdeploy_sandbox import cli

MAKEFILE = (pages.PROJECT / "Makefile").read_text()
WORKFLOWS = [*(pages.PROJECT / ".github/workflows").glob("*.yml")]
IN_WORKFLOWS = [words for each in WORKFLOWS for words in pages.steps(each.read_text())]

PROGRAMS = Path(sys.executable).parent

# What wsdeploy.logs can be asked; imported, its operation would patch this process.
OF_LOGS = ("since", "until", "host", "process", "client", "request", "grep", "lines", "follow")

# Of a user's own project, which need not be files of this one.
PLACES = r"(inventories|files|src|PATH)/[\w./-]+|\.|DIR|FOLDER|INVENTORY|FILE|chat"


@functools.cache
def everywhere() -> list[list[str]]:
    # The page of benchmarks has others' commands, and is made by a program.
    texts = [text for page, text in pages.PAGES.items() if page != "docs/benchmarks.md"]
    return [*itertools.chain.from_iterable(map(pages.commands, texts)), *IN_WORKFLOWS]


@functools.cache
def calls(*names: str) -> list[pytest.ParameterSet]:
    """Return the commands whose program is one of these, without it and without its folder."""
    found = {}
    for words in everywhere():
        # Variables that are set for one command stand before it, and what runs it.
        line = itertools.dropwhile(lambda w: re.fullmatch(r"[A-Z_]+=.*", w), words)
        program, *rest = [*line] or [""]
        if program == "uvx" or [program, *rest[:1]] == ["uv", "run"]:
            no_program = re.compile(r"run|--.*|.*\.whl|\.|git\+.*")
            program, *rest = [*itertools.dropwhile(no_program.fullmatch, rest)] or [""]
        # What reads the output is another program.
        rest = [*itertools.takewhile(lambda w: w != "|", rest)]
        if program.removeprefix(".venv/bin/") in names:
            found[" ".join(rest)] = rest
    return [pytest.param(rest, id=key) for key, rest in found.items()]


@pytest.mark.parametrize("words", calls("make"))
def test_make(words: list[str]) -> None:
    for word in words:
        name, is_variable, _ = word.partition("=")
        pattern = rf"^{re.escape(name)} *\?=" if is_variable else rf"^{re.escape(name)}:"
        assert re.search(pattern, MAKEFILE, re.MULTILINE), f"the Makefile has no {name}"


@functools.cache
def said_by(*command: str) -> str:
    """Return what a program says of its options. Imported, pyinfra would patch this process."""
    return subprocess.run(
        [*command, "--help"], capture_output=True, text=True, check=True, env={"NO_COLOR": "1"}
    ).stdout


def arguments(words: Sequence[str], said: str) -> list[str]:
    """Return what is no option among words; options have to be among those that are said."""
    left, rest = [], iter(words)
    for word in rest:
        if not word.startswith("-"):
            left.append(word)
            continue
        # uv does not list negations.
        option = word.partition("=")[0].replace("--no-emit", "--emit")
        found = re.search(rf"^\s+(-\w, +)?{option}(?![\w-])(.*)$", said, re.MULTILINE)
        found = found or re.search(rf"^\s+{option}, +--[\w-]+(.*)$", said, re.MULTILINE)
        assert found, f"no option {option}"
        if "=" not in word and re.match(r" \[?[A-Z<]", found.groups()[-1]):
            next(rest)
    return left


@pytest.mark.parametrize("words", calls("pyinfra"))
def test_pyinfra(words: list[str]) -> None:
    said = said_by(sys.executable, "-m", "pyinfra")
    inventory, *operations = arguments(words, said) or ["INVENTORY", "deploy.py"]
    assert re.fullmatch(PLACES, inventory)
    assert operations
    for operation in operations:
        module, _, name = operation.partition(".")
        if module == "wsdeploy":
            assert name in wsdeploy.COMMANDS
        elif "=" in operation:
            assert operation.partition("=")[0] in ("to", "data", *OF_LOGS)
        else:
            assert operation in ("debug-inventory", "deploy.py")


def test_arguments_of_our_operations_are_theirs() -> None:
    # As text: imported, they would bring all of pyinfra.
    roles = (pages.PROJECT / "wsdeploy/deploy/roles").glob("*.py")
    source = "".join(path.read_text() for path in roles)
    assert "def rollback(to: " in source
    assert "def remove(data: " in source


@pytest.mark.parametrize("name", wsdeploy.COMMANDS)
def test_every_operation_of_ours_is_in_the_reference(name: str) -> None:
    assert f"wsdeploy.{name}" in pages.PAGES["docs/reference/commands.md"]


def test_no_page_names_an_operation_that_is_not_there() -> None:
    for page, text in pages.PAGES.items():
        for name in re.findall(r"(?<![\w.])wsdeploy\.([a-z]+)\b(?!\.)", text):
            known = name in wsdeploy.COMMANDS or importlib.util.find_spec(f"wsdeploy.{name}")
            assert known or name == "conf", f"{page}: wsdeploy.{name}"


@pytest.mark.parametrize("words", calls("wsdeploy"))
def test_wsdeploy(words: list[str]) -> None:
    name, *rest = words
    command = wsdeploy.cli.main.commands[name]
    command.make_parser(click.Context(command)).parse_args(rest)


@pytest.mark.parametrize("words", calls("sandbox"))
def test_sandbox(words: list[str]) -> None:
    cli.parser().parse_args(words)


@pytest.mark.parametrize("words", calls("pytest"))
def test_pytest(words: list[str]) -> None:
    folder, *rest = words
    # Options of the checks stand in tests/hosts, or where that takes them from.
    sources = [
        path
        for place in (folder, "wsdeploy/checks")
        if (pages.PROJECT / place).is_dir()
        for path in (pages.PROJECT / place).rglob("*.py")
    ]
    options = "".join(path.read_text() for path in sources)
    assert (pages.PROJECT / folder).exists()
    for word in rest:
        assert f'"{word}"' in options if word.startswith("-") else re.fullmatch(PLACES, word)


@pytest.mark.parametrize("words", calls("python"))
def test_python(words: list[str]) -> None:
    if words[0] == "-m":
        # Not imported: modules of others may do anything.
        module = pages.PROJECT / f"{words[1].replace('.', '/')}.py"
        assert module.is_file() or words[1] in ("websockets", "chat", "uvicorn")
    else:
        # A folder is what an app is, in an example.
        assert (pages.PROJECT / words[0]).is_file() or words in (["app.py"], ["chat"])


@pytest.mark.parametrize("words", calls("uv"))
def test_uv(words: list[str]) -> None:
    command = list(itertools.takewhile(lambda w: re.fullmatch(r"[a-z]+", w), words))
    assert command
    arguments(words[len(command) :], said_by(str(PROGRAMS / "uv"), *command))


def test_commands_are_found() -> None:
    """The tests above are worth nothing if they see no commands."""
    for program in ("make", "pyinfra", "sandbox", "pytest", "python", "uv", "wsdeploy"):
        assert calls(program), program


@pytest.mark.parametrize("words", [words for words in IN_WORKFLOWS if words[0] != "make"])
def test_workflows_run_programs_of_the_project(words: list[str]) -> None:
    program = pages.PROJECT / words[0]
    if words[0].startswith(".venv/bin/"):
        program = PROGRAMS / program.name
    assert program.is_file()
    assert program.stat().st_mode & 0o111


def test_the_workflow_in_the_guide_is_the_one_of_a_new_project() -> None:
    project = layout.Project(
        name="chat",
        app=layout.ECHO,
        domain=None,
        email=None,
        hosts=(),
        ssh_user="root",
        proxy="nginx",
        secrets=("DATABASE_URL",),
    )
    (shown,) = pages.blocks(pages.PAGES["docs/guides/ci.md"], "yaml")
    written = project.files()[".github/workflows/deploy.yml"].splitlines()
    assert [line for line in shown.splitlines() if line not in written] == []


def test_actions_are_pinned_by_hash() -> None:
    sources = [each.read_text() for each in WORKFLOWS]
    sources += [block for text in pages.PAGES.values() for block in pages.blocks(text, "yaml")]
    found = [use for text in sources for use in re.findall(r"uses: (.+)", text)]
    assert found
    for use in found:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use), use
