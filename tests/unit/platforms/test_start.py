"""An instance, started as a platform does it: with a port, and nothing else."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect

from tests.unit.platforms.conftest import MakeProject, made, write
from wsdeploy.platforms import verdicts
from wsdeploy.platforms.start import Code, script
from wsdeploy.settings.platforms import (
    PLATFORMS,
    Dokku,
    Fly,
    Heroku,
    Koyeb,
    Platform,
    Render,
)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `python` that has the app's packages, as a platform's builder makes one."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "python").symlink_to(sys.executable)
    return folder


@pytest.fixture
def started(python: Path, port: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended with the test."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for each in processes:
        if each.poll() is None:
            os.killpg(each.pid, signal.SIGKILL)
        each.wait()


async def client(port: int) -> ClientConnection:
    end = time.monotonic() + 30
    while True:
        try:
            return await connect(f"ws://127.0.0.1:{port}/", proxy=None, ping_interval=None)
        except OSError:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("where", "shell", "send"),
    [
        # A dyno's shell, and SIGTERM to every process.
        (Heroku(settle=0.1), ["bash", "-c"], os.killpg),
        # A shell, and SIGTERM to the first process.
        (Render(settle=0.1), ["sh", "-c"], os.kill),
        # A buildpack's launcher, and SIGTERM to the first process.
        (Fly(settle=0.1), ["bash", "-c"], os.kill),
        (Koyeb("github.com/a-company/chat", settle=0.1), ["bash", "-c"], os.kill),
        # herokuish takes the words of the line.
        (Dokku("dokku.a-company.com", settle=0.1), [], os.kill),
    ],
    ids=[each.title for each in PLATFORMS],
)
def test_an_instance_serves_and_drains_within_the_platforms_time(
    project: MakeProject,
    started: list[subprocess.Popen[bytes]],
    python: Path,
    port: int,
    where: Platform,
    shell: list[str],
    send: Callable[[int, int], None],
) -> None:
    found = project(where, made({"drain": 0.2}))
    write(found)
    line, environment = start_line(found.wanted)
    # Sites of a virtual environment are found by its interpreter's own path.
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    process = subprocess.Popen(
        [*shell, line] if shell else line.split(),
        cwd=found.folder,
        env={
            **environment,
            "PATH": f"{python}:{os.environ['PATH']}",
            "PORT": str(port),
            "PYTHONPATH": packages,
        },
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    started.append(process)
    limit = verdicts.KILLED_AFTER[type(where)] or 60

    async def stay() -> tuple[list[int | None], float]:
        clients = [await client(port) for _ in range(20)]
        for number, each in enumerate(clients):
            await each.send(str(number))
            assert await each.recv() == str(number)
        assert await healthz(port) == 200
        began = time.monotonic()
        # Heroku may send it several times, and Dokku does.
        for _ in range(2):
            send(process.pid, signal.SIGTERM)
        await asyncio.gather(*(each.wait_closed() for each in clients))
        return [each.close_code for each in clients], time.monotonic() - began

    codes, seconds = asyncio.run(asyncio.wait_for(stay(), limit))
    assert codes == [1012] * 20
    # Neither ended the settle time: a platform's second SIGTERM is no hurry.
    assert 0.1 <= seconds < limit
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    # Nothing in its environment was a surprise.
    assert not [line for line in said.decode().splitlines() if "WS_" in line]


def start_line(wanted: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return what a platform starts, and the variables that its own file has."""
    if "render.yaml" in wanted:
        (service,) = yaml.safe_load(wanted["render.yaml"])["services"]
        variables = {each["key"]: each["value"] for each in service["envVars"]}
        return service["startCommand"], variables
    kind, _, line = wanted["Procfile"].strip().partition(": ")
    assert kind == "web"
    return line, tomllib.loads(wanted.get("fly.toml", "")).get("env", {})


async def healthz(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head = await reader.readline()
    writer.close()
    return int(head.split()[1])


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("plain", "plain"),
        ("two words", "two words"),
        ("--port=$WS_PORT", "--port=5000"),
        ("${WS_HOST}:$WS_PORT", "0.0.0.0:5000"),
        ("$WS_APP/x y", "a folder/x y"),
        ('$OTHER `id` \\ " $(id) $WS_PORT', 'told `id` \\ " $(id) 5000'),
        ("$(id)", "$(id)"),
        ("it's", "it's"),
    ],
)
def test_words_of_a_command_are_what_they_are_on_hosts(
    tmp_path: Path, word: str, becomes: str
) -> None:
    settings = made({"command": ["printf", "%s", word]})
    text = script(settings, Code("main.py", "a folder"), {})
    said = subprocess.run(
        ["sh", "-c", text],
        env={"PATH": os.environ["PATH"], "PORT": "5000", "OTHER": "told"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said == becomes


def test_variables_are_what_they_are_on_hosts() -> None:
    awkward = 'it\'s "$HOME" `x` \\ # ü\n and more'
    settings = made({"command": [sys.executable, "-c", "import os; print(os.environ['NAME'])"]})
    text = script(settings, Code("main.py", "chat"), {"NAME": awkward})
    said = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout
    assert said == f"{awkward}\n"


def test_packages_that_a_builder_has_put_elsewhere_are_still_found() -> None:
    settings = made({"command": ["sh", "-c", 'echo "$PYTHONPATH"']})
    # A shell of its own would expand it first, so the word is one without variables for ours.
    text = script(settings, Code("main.py", "chat"), {}).rpartition("exec ")[0]
    for before, after in (("", ".wsdeploy:chat"), ("/layers/x", ".wsdeploy:chat:/layers/x")):
        said = subprocess.run(
            ["sh", "-c", f'{text}echo "$PYTHONPATH"'],
            env={"PYTHONPATH": before}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert said == f"{after}\n"
