"""The launcher gives the app its environment, its place to listen and its limit, and becomes it."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from wsdeploy import App, SelfSigned, Settings
from wsdeploy.plan.app import generation as plan
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wshost.common.listen import Listen
from wshost.rollout import launch

SHOW = (
    "import json, os, resource, sys; print(json.dumps([dict(os.environ), "
    "resource.getrlimit(resource.RLIMIT_NOFILE), os.getpid(), sys.argv[1:]]))"
)

VALUES = [
    "",
    "plain",
    "with \"quotes\" and \\ and 'apostrophes'",
    "two\nlines\r\nand three\n",
    " spaces around ",
    "a=b #not a comment",
    "$HOME %(here)s ${x} `id`",
    "ümlaut 漢字 \U0001f600",
    "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e \t \x7f",
]
PROCESS = {"SUPERVISOR_PROCESS_NAME": "ws_03"}


def planned_environment(values: dict[str, str]) -> str:
    """The file that a deployment writes for an app with these variables."""
    settings = Settings("ws.a-company.com", App("app.py", env=values), SelfSigned())
    wanted = plan.planned(Target(settings, "one", Survey()), "0" * 12, "app/app.py")
    (file,) = (file for file in wanted.files if file.path.endswith(".env"))
    return file.content


@pytest.fixture
def described(tmp_path: Path) -> Callable[..., str]:
    """Write a generation's description and environment, and return the first one's path."""

    def write(text: str = "", open_files: int = 256, listen: str = "unix:/run/ws/x") -> str:
        environment = tmp_path / "environment"
        environment.write_text(text, newline="")
        path = tmp_path / "generation.json"
        found = {"environment": str(environment), "open_files": open_files, "listen": listen}
        path.write_text(json.dumps(found))
        return str(path)

    return write


Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run(tmp_path: Path, described: Callable[..., str]) -> Launch:
    def start(
        text: str = "",
        open_files: int = 256,
        code: str = SHOW,
        listen: str = "unix:/run/ws/x",
        words: Sequence[str] = (),
        **options: Any,
    ) -> subprocess.Popen[str]:
        path = described(text, open_files, listen)
        command = [sys.executable, "-I", launch.__file__, path]
        # It leaves a note in its working directory.
        options["cwd"] = tmp_path
        options["env"] = PROCESS | options.get("env", {})
        return subprocess.Popen(
            [*command, sys.executable, "-c", code, *words],
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


def answer(process: subprocess.Popen[str]) -> list[Any]:
    said: list[Any] = json.loads(process.communicate()[0])
    return said


def test_round_trip() -> None:
    values = {f"V{number}": value for number, value in enumerate(VALUES)}
    found = launch.parse(planned_environment(values))
    assert {name: found[name] for name in values} == values


def test_comments_and_empty_lines() -> None:
    assert launch.parse('# A="no"\n\nB="yes"\n') == {"B": "yes"}


def test_the_app_gets_its_environment_and_keeps_its_own(run: Launch) -> None:
    values = {f"V{number}": value for number, value in enumerate(VALUES)} | {"LANG": "C.UTF-8"}
    process = run(planned_environment(values), env={"MORE": "of Supervisor's", "LANG": "x"})
    environment, *_ = answer(process)
    assert {name: environment[name] for name in values} == values
    assert environment["MORE"] == "of Supervisor's"


# What is said of where to listen, and what a process is told.
PLACES = {
    "unix:/run/ws/x": {"WS_SOCKET": "/run/ws/x/ws_03.sock"},
    "tcp:10.0.0.1:8000": {"WS_HOST": "10.0.0.1", "WS_PORT": "8003"},
    "tcp:fd00::2:8000": {"WS_HOST": "fd00::2", "WS_PORT": "8003"},
    "shared:10.0.0.1:8000": {"WS_HOST": "10.0.0.1", "WS_PORT": "8000"},
}


def test_where_a_process_listens() -> None:
    for text, variables in PLACES.items():
        assert launch.listener(text, "ws_03") == variables
        listen = Listen.read(text)
        assert str(listen) == text
        # Where the gate and the watchdog ask.
        if listen.unix:
            assert listen.socket("ws_03") == variables["WS_SOCKET"]
        else:
            where = listen.address("ws_03")
            assert where == (variables["WS_HOST"], int(variables["WS_PORT"]))
            assert where in listen.ports(4)
    # Both digits count.
    assert launch.listener("tcp:10.0.0.1:8000", "chat-2_98")["WS_PORT"] == "8098"


def test_the_app_learns_where_to_listen_by_variables_and_words(run: Launch) -> None:
    words = ["$WS_HOST:${WS_PORT}", "$NO_SUCH_VARIABLE", "$TOKEN"]
    process = run('TOKEN="a value"\n', listen="tcp:10.0.0.1:8000", words=words)
    environment, _, _, given = answer(process)
    assert (environment["WS_HOST"], environment["WS_PORT"]) == ("10.0.0.1", "8003")
    assert "WS_SOCKET" not in environment
    assert given == ["10.0.0.1:8003", "$NO_SUCH_VARIABLE", "a value"]


def test_python_is_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, described: Callable[..., str]
) -> None:
    path = described()
    # It leaves a note in its working directory.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(PROCESS))
    monkeypatch.setattr(launch, "raise_limit", lambda _: None)
    became = []
    monkeypatch.setattr(os, "execvp", lambda *arguments: became.append(arguments))
    for command in (["python", "-m", "chat"], ["python3", "x"]):
        launch.main([path, *command])
    assert became == [
        ("/usr/bin/python3", ["/usr/bin/python3", "-m", "chat"]),
        ("python3", ["python3", "x"]),
    ]


def test_the_app_takes_the_launchers_place(run: Launch) -> None:
    process = run()
    _, _, pid, _ = answer(process)
    assert pid == process.pid, "Supervisor's signals reach the app itself"
    assert process.returncode == 0
    assert run(code="raise SystemExit(7)").wait() == 7


@pytest.mark.parametrize(("wanted", "hard", "got"), [(200, 400, 200), (4000, 400, 400)])
def test_limit(run: Launch, wanted: int, hard: int, got: int) -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))

    _, limit, *_ = answer(run(open_files=wanted, preexec_fn=lower))
    assert limit == [got, hard], "the hard limit is not touched: it can't be raised again"


def test_no_variable_is_logged_when_the_command_is_missing(
    tmp_path: Path, described: Callable[..., str]
) -> None:
    path = described('TOKEN="s3cret"\n')
    done = subprocess.run(
        [sys.executable, "-I", launch.__file__, path, "/no/such/program"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=PROCESS,
    )
    assert done.returncode != 0
    assert "No such file" in done.stderr
    assert "s3cret" not in done.stderr
