"""Apps that know nothing of wsdeploy, each deployed onto one host and then deployed anew.

They are those of tests/apps: equivalents of the apps in websockets' guides, servers of other
libraries, and a project. docs/guides/apps.md says what each goes without; this is where it comes
from.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.site import HELD, Site

COMBINATIONS = [("bookworm", "HAProxy")]


@dataclass(frozen=True)
class Case:
    """An app, what it does, and how its ways let go of clients."""

    path: str
    answer: str
    """What it answers to "abc"."""
    code: int
    """Close code of those who are connected when it is deployed anew; 0 if it has none of its own:
    then some are cut off, and so may be who has only just come."""
    options: dict[str, Any] = field(default_factory=dict)

    def source(self, **more: Any) -> str:
        options = {"processes": 2, "drain": 1, **self.options, **more}
        text = "".join(f", {name}={value!r}" for name, value in options.items())
        return f"App('tests/apps/{self.path}'{text})"


UVICORN = ["python", "-m", "uvicorn", "chat:app"]
HYPERCORN = ["python", "-m", "hypercorn", "chat:app", "--bind", "unix:$WS_SOCKET", "--workers", "2"]
CASES = {
    "guide-for-nginx": Case("guides/unix_socket.py", "cba", 1001, {"health": None}),
    "guide-for-haproxy": Case(
        "guides/own_port.py", "cba", 1001, {"health": None, "listen": "tcp", "reuse_port": False}
    ),
    "guide-for-supervisor": Case(
        "guides/shared_port.py", "cba", 1001, {"health": None, "listen": "shared", "port": 8080}
    ),
    "aiohttp": Case("aiohttp_server", "ABC", 1012),
    "aiohttp-tcp": Case("aiohttp_server", "ABC", 1012, {"listen": "tcp"}),
    "uvicorn": Case("asgi", "abc", 1012, {"command": [*UVICORN, "--uds", "$WS_SOCKET"]}),
    "uvicorn-tcp": Case(
        "asgi",
        "abc",
        1012,
        {
            "command": [*UVICORN, "--host", "$WS_HOST", "--port", "$WS_PORT"],
            "listen": "tcp",
            "reuse_port": False,
        },
    ),
    # It cuts its clients off when it ends, with a code or without.
    "hypercorn": Case("asgi", "abc", 0, {"command": HYPERCORN}),
    "project": Case(
        "project",
        "Good morning, abc (greeter 1.0)",
        1001,
        {"health": None, "command": ["python", "-m", "greeter"]},
    ),
}


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(["apps"], ["apps"])


@pytest.mark.parametrize("name", CASES)
def test_an_app_of_its_own_kind(site: Site, name: str) -> None:
    case = CASES[name]
    site.deploy(app=case.source())
    with site.client() as websocket:
        websocket.send("abc")
        assert websocket.recv(60) == case.answer
    site.converged()
    refuses_others(site)

    with site.under_load() as outcome:
        site.deploy(app=case.source(env={"COLOUR": "green"}))
    # An app that closes everybody at once closes those, too, who have only just come: with its
    # code, an error for websockets if it is not 1000 or 1001. One that is cut off has none.
    code = rf"Close\(code={case.code}," if case.code else ""
    early = re.compile(rf"ConnectionClosed(OK|Error)\({code}")
    assert [reason for reason in outcome["failed"] if not early.match(reason)] == []
    assert outcome["passed"] > 0
    assert sum(outcome["codes"].values()) == HELD
    assert not case.code or outcome["codes"].keys() == {str(case.code)}
    assert len(site.ssh("supervisorctl status").splitlines()) == 2
    assert site.marked().keys() == {site.live_generation()}


def refuses_others(site: Site) -> None:
    """Only the host itself reaches the app's ports, on whichever interfaces they are."""
    listeners = site.ssh("ss --no-header --listening --numeric --tcp").splitlines()
    ports = {int(line.split()[3].rpartition(":")[2]) for line in listeners}
    for port in ports - {22, 80, 443}:
        for address in (site.host.address, site.host.address6):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, port), 5).close()


# Gives every other handshake back, as websockets does with all while it stops.
BUSY = """
import asyncio, os
from websockets.asyncio.server import unix_serve

asked = 0

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

def every_other(connection, request):
    global asked
    asked += 1
    return connection.respond(503, "I am leaving") if asked % 2 else None

async def main():
    where = os.environ["WS_SOCKET"]
    async with unix_serve(echo, where, process_request=every_other) as server:
        await server.serve_forever()

asyncio.run(main())
"""


def test_a_handshake_that_comes_back_is_asked_again_even_of_the_only_process(
    site: Site, tmp_path: Path
) -> None:
    (tmp_path / "busy.py").write_text(BUSY)
    lock = "tests/apps/guides/requirements.txt"
    options = f"processes=1, drain=1, health=None, requirements={lock!r}"
    site.deploy(app=f"App({str(tmp_path / 'busy.py')!r}, {options})")
    for _ in range(20):
        site.echoes()


def test_a_port_of_one_process_where_ports_are_shared(site: Site) -> None:
    """The app listens where it likes; the run says so, and the old one goes on."""
    before = site.live_generation()
    wrong = Case("guides/own_port.py", "", 0, {"health": None, "start_timeout": 8})
    site.write(app=wrong.source())
    result = site.pyinfra()
    assert result.code == 1
    assert "it should listen on /run/ws/" in result.output
    assert "and listens on 127.0.0.1:800" in result.output
    assert site.live_generation() == before
