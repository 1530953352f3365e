"""What clients notice of deployments, good and bad ones: nothing but a close frame in its turn."""

import itertools
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wsdeploy_sandbox as sandbox
from tests.sandbox.site import CROWD, Site
from tests.sandbox.spread import assert_even

COMBINATIONS = [("bookworm", "Nginx"), ("trixie", "HAProxy")]
LISTEN = ("unix", "tcp")
COVERING = (("Nginx", "unix"), ("HAProxy", "tcp"))
"""What is tested without --matrix."""

HANDSHAKES = 40
"""Each second, while a deployment is under way."""
HELD = 300
DRAIN = 10
"""Seconds. Of 300 clients, 30 are closed in each."""

ECHO = """
import os
from wsapp import run

async def handler(websocket):
    async for message in websocket:
        await websocket.send(f"{message} {os.environ['COLOUR']}")

run(handler)
"""

# Code, what the run says of it, and how long its start may take, in seconds: as long as a busy
# machine needs, where the fault is not in the start.
BAD = {
    "crashes at start": ("raise RuntimeError('no database today')", "no database today", 4),
    "never listens": (
        "import time\nprint('waiting for the moon', flush=True)\ntime.sleep(600)",
        "waiting for the moon",
        4,
    ),
    "fails the handshake": (
        ECHO.replace(
            "run(handler)",
            "async def refuse(connection, request):\n"
            "    if 'Upgrade' in request.headers:\n"
            "        print('no seats left', flush=True)\n"
            "        return connection.respond(500, 'no seats left')\n\n"
            "run(handler, process_request=refuse)",
        ),
        "no seats left",
        8,
    ),
    "fails a second after it was ready": (
        "import threading, sys, os, time\n"
        "def die():\n"
        "    time.sleep(1.5)\n"
        "    print('the disk is full', flush=True)\n"
        "    os._exit(1)\n"
        "threading.Thread(target=die, daemon=True).start()\n" + ECHO,
        "the disk is full",
        30,
    ),
}


def requirements(site: Site) -> str:
    return str(site.project / "files" / "requirements.txt")


def app(site: Site, file: Path, colour: str, **options: Any) -> str:
    options = {"processes": 3, "drain": DRAIN, "env": {"COLOUR": colour}} | options
    options["requirements"] = requirements(site)
    text = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"App({str(file)!r}, {text})"


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(["deploys"], ["deploys"], edge=CROWD)


@pytest.fixture(scope="module")
def file(site: Site) -> Path:
    path = site.folder / "app.py"
    path.write_text(ECHO)
    return path


@pytest.fixture(scope="module", params=LISTEN)
def listen(
    request: pytest.FixtureRequest, combination: tuple[str, str], site: Site, file: Path
) -> str:
    if not request.config.getoption("--matrix") and (combination[1], request.param) not in COVERING:
        pytest.skip("only with --matrix")
    site.deploy(app=app(site, file, "white", listen=request.param))
    chosen: str = request.param
    return chosen


def colour(site: Site) -> str:
    with site.client() as websocket:
        websocket.send("marco")
        return websocket.recv(60).split()[1]


def leftovers(site: Site) -> list[str]:
    """What there is of generations: files of Supervisor, environments, folders of sockets."""
    return site.ssh(
        "cd /; ls etc/supervisor/conf.d; ls etc/ws | grep env; ls run/ws | grep -v current; "
        "supervisorctl status | cut -d: -f1 | uniq"
    ).split()


def test_a_deploy_refuses_nobody_and_closes_everybody_in_turn(
    site: Site, file: Path, listen: str
) -> None:
    with site.under_load(rate=HANDSHAKES, held=HELD) as outcome:
        result = site.deploy(app=app(site, file, "red", listen=listen))
    assert outcome["failed"] == {}
    assert outcome["passed"] > HANDSHAKES
    assert outcome["codes"] == {"1012": HELD}
    # Whoever has just come may be counted, too.
    closed = re.search(r"; its (\d+) clients were closed over (\d+) s, none", result.output)
    assert closed, result.output
    assert HELD <= int(closed[1]) <= HELD + 2 * HANDSHAKES
    assert int(closed[2]) >= DRAIN
    assert "wsdeploy-progress" not in result.output
    assert_even(outcome["closed_at"], DRAIN)
    assert colour(site) == "red"
    assert len(leftovers(site)) == 5
    site.converged()


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_release_is_noticed_by_nobody(
    site: Site, file: Path, listen: str, kind: str, tmp_path: Path
) -> None:
    code, complaint, start_timeout = BAD[kind]
    bad = tmp_path / "app.py"
    bad.write_text(code)
    before = site.live_generation()
    with site.under_load(rate=HANDSHAKES, held=60) as outcome:
        limits = {"start_timeout": start_timeout, "healthy_for": 3}
        site.write(app=app(site, bad, "black", listen=listen, **limits))
        result = site.pyinfra()
    assert outcome["failed"] == {}
    assert outcome["codes"] == {}
    assert result.code == 1
    assert complaint in result.output
    assert f"goes on serving at wss://{site.host.domain}/; no client was closed" in result.output
    assert site.live_generation() == before
    assert colour(site) != "black"
    assert len(leftovers(site)) == 5
    site.write(app=app(site, file, "red", listen=listen))


def test_nobody_makes_a_drain_longer(site: Site, file: Path, listen: str) -> None:
    """Neither a client that never answers the close frame, nor one in the middle of a handshake."""
    where = site.ssh("ss --no-header --listening --processes --tcp --unix | grep ws_00 || true")
    assert listen == "tcp" or "ws_00.sock" in where
    rude = textwrap.dedent(f"""
        import socket, time
        def connect():
            if {listen!r} == "unix":
                connection = socket.socket(socket.AF_UNIX)
                connection.connect("/run/ws/current/ws_00.sock")
                return connection
            return socket.create_connection(("127.0.0.1", 8000))
        head = (b"GET / HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\n"
                b"Connection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n")
        silent, half = connect(), connect()
        silent.sendall(head + b"\\r\\n")
        assert b"101" in silent.recv(1000)
        half.sendall(head)
        print("ready", flush=True)
        time.sleep(120)
    """)
    site.ssh(f"systemd-run --quiet --unit=rude --collect python3 -c {sh(rude)}")
    old = site.live_generation()
    site.deploy(app=app(site, file, "blue", listen=listen, drain=2))
    # The old processes drain as they were told when they started.
    log = site.ssh(f"cat /var/log/ws/{old}/*.log")
    seconds = [float(s) for s in re.findall(r"stopped after ([\d.]+) s", log)]
    # Where a port is shared, one process has been tried before, and was stopped at once.
    assert len(seconds) == (3 if listen == "unix" else 4)
    # The drain, the close time-out, and the grace of 3 s; the rest is for a busy machine.
    assert max(seconds) <= DRAIN + 10 + 3 + 15
    assert "SIGKILL" not in site.ssh("cat /var/log/supervisor/supervisord.log")
    site.ssh("systemctl stop rude")


def sh(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_a_reboot_closes_with_a_code_and_all_is_back(site: Site, file: Path, listen: str) -> None:
    site.deploy(app=app(site, file, "green", listen=listen, shutdown_drain=3))
    with site.under_load(rate=1, held=100) as outcome:
        sandbox.reboot(site.host.name)
    assert outcome["codes"] == {"1012": 100}
    # Nobody deploys anything.
    site.serves()
    assert colour(site) == "green"
    site.converged()


KILLED = (
    [("Packages", 0), ("Supervisor", 0), ("Release", 0)]
    + [("Processes", after) for after in (0, 0.3, 0.8, 1.5, 2.5, 4)]
    + [("serves on every host", 0), ("WebSocket over TLS", 0)]
    + [("Old processes", after) for after in (0, 0.5, 1.5)]
)


def test_a_run_that_is_killed_anywhere(
    site: Site, file: Path, listen: str, kill_run: Callable[..., None]
) -> None:
    """The service is up throughout; the next run finishes the work, and nothing is left over."""
    with site.under_load(rate=20, held=10, returning=True) as outcome:
        for number, (operation, after) in zip(itertools.count(), KILLED, strict=False):
            site.write(app=app(site, file, f"c{number}", listen=listen, drain=1))
            kill_run(site, operation, after)
        site.deploy(app=app(site, file, "white", listen=listen, drain=1))
    assert outcome["failed"] == {}
    # Who has just come when a drain of a second begins may be closed in turn; hardly anybody is.
    assert outcome["returned"] <= outcome["passed"] // 20
    assert outcome["codes"] == {"1012": 10}
    assert colour(site) == "white"
    assert len(leftovers(site)) == 5
    site.converged()
