"""Inventory files as users run them: through pyinfra's command line."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import pyinfra_server

REPOSITORY = Path(__file__).parents[3]

HEAD = "from wsdeploy import App, SelfSigned, Settings, hosts\n"

# TEST-NET-1 (RFC 5737): a connection there would hang, and then fail.
UNROUTABLE = "192.0.2.1"


RunPyinfra = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def pyinfra(folder: Path) -> RunPyinfra:
    """Run pyinfra as the project's README says, with an inventory of this text."""

    def run(inventory: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = folder / "inventory.py"
        path.write_text(HEAD + inventory)
        return pyinfra_server.run([path, *arguments], cwd=REPOSITORY, env=os.environ, timeout=60)

    return run


def good(folder: Path, host: str = "@fake/one") -> str:
    return (
        f'settings = Settings("ws.a-company.com", App("{folder}/app.py", env={{"T": "s3cret"}}), '
        f'SelfSigned())\napp, proxy = hosts(settings, app=["{host}"])\n'
    )


def test_mistakes_end_the_run_before_any_connection(pyinfra: RunPyinfra, folder: Path) -> None:
    done = pyinfra(
        f'settings = Settings("ws.example.com", App("{folder}/app.py", proceses=4), SelfSigned(),\n'
        '    max_connections="10k")\n'
        f'app, proxy = hosts(settings, app=["{UNROUTABLE}", "a b"])\n',
        "deploy.py",
        "-y",
    )
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "Connecting" not in said
    heading, *problems = said[said.index(str(folder)) :].splitlines()
    assert heading == f"{folder}/inventory.py: 4 problems; no host was contacted"
    assert [line.split(": ")[0] for line in problems if line] == [
        "  max_connections",
        "  domain",
        "  app.proceses",
        "  app",
    ]


def test_a_good_inventory_connects(pyinfra: RunPyinfra, folder: Path) -> None:
    # So that the absence of this word elsewhere means something.
    done = pyinfra(good(folder), "exec", "--", "true")
    assert done.returncode == 0, done.stderr
    assert "Connecting" in done.stdout + done.stderr


def test_debug_inventory_shows_groups_and_settings_without_secrets(
    pyinfra: RunPyinfra, folder: Path
) -> None:
    done = pyinfra(good(folder), "--json", "debug-inventory")
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    (host,) = json.loads(done.stdout)
    assert {"app", "proxy"} <= set(host["groups"])
    assert host["data"]["settings"]["domain"] == "ws.a-company.com"
    assert host["data"]["settings"]["app"]["env"] == {"T": "(not shown)"}
