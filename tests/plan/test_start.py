"""What pyinfra's command line does not do by itself."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wsdeploy import command_line
from wsdeploy.deploy import start


def test_a_question_that_nobody_answers_ends_the_run_with_a_line() -> None:
    def nobody(prompt: str) -> None:
        raise EOFError

    with pytest.raises(SystemExit, match="no terminal; give -y"):
        start.answered(nobody, "give -y")("Go on?")
    assert start.answered(str.upper, "")("yes") == "YES"
    assert start.answered(nobody, "")("One of more hosts failed, continue?") is False


def test_where_pyinfra_asks() -> None:
    # In a process of its own: pyinfra's command line replaces parts of Python when it is imported.
    names = start.QUESTIONS
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
    found = start.hint(line)
    assert found.startswith(line)
    assert words in found if words else found == line


ASKED_TWICE = """
import sys
from types import SimpleNamespace

from pyinfra.api import Config, Inventory, State, arguments, util
from wsdeploy.deploy import shortcuts

state = SimpleNamespace(current_deploy_filename=__file__, current_op_file_number=0)
asked = []


def operation():
    return util.get_operation_order_from_stack(state), util.get_call_location()


hosts = (["one", ("two", {"place": "here", "_sudo": True})], {"both": "data"})
inventory = Inventory(hosts, more=(["one", "two"], {"_sudo": False, "_env": {"A": "b"}}))
for _ in range(2):
    state = State(inventory, Config())
    found = []
    for host in inventory:
        found.append(arguments.pop_global_arguments(state, host, {"_chdir": "/"}))
        host.data._sudo_user = "elsewhere"
        found.append(arguments.pop_global_arguments(state, host, {}))
        host.data.override_datas.clear()
    state = SimpleNamespace(current_deploy_filename=__file__, current_op_file_number=0)
    asked.append([found, *operation(), arguments.all_global_arguments()])
    shortcuts.take()
assert asked[0] == asked[1], asked
assert util.stack is shortcuts.stack and util.getframeinfo is shortcuts.place
assert arguments.all_global_arguments() is arguments.all_global_arguments()
assert arguments.pop_global_arguments.__module__ == shortcuts.__name__
for name in ("deploy", "facts", "operation"):
    used = sys.modules[f"pyinfra.api.{name}"].pop_global_arguments
    assert used is arguments.pop_global_arguments
"""


def test_pyinfra_finds_the_same_by_the_shorter_ways(tmp_path: Path) -> None:
    # In a process of its own: here, pyinfra's are not to be replaced.
    (tmp_path / "deploy.py").write_text(ASKED_TWICE)
    subprocess.run([sys.executable, "deploy.py"], check=True, cwd=tmp_path)


def test_ctrl_c_is_none_of_pyinfras_from_the_first_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own handler ends a run with exit code 0."""
    done: list[str] = []

    def look(_: object) -> str:
        done.append("look")
        return "no such file"

    monkeypatch.setattr(sys, "argv", ["pyinfra", "prod.py", "deploy.py"])
    # Whoever runs the tests in the background may have it ignored.
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    monkeypatch.setattr(signal, "signal", lambda *_: done.append("handler"))
    monkeypatch.setattr(command_line, "problem", look)
    with pytest.raises(SystemExit):
        start.begin()
    assert done == ["handler", "look"]
