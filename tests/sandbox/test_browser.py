"""A page in headless Chromium, which trusts the service's certificate as a user's browser would."""

import contextlib
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.site import Site

COMBINATIONS = [("bookworm", "HAProxy"), ("trixie", "Nginx")]

PAGE = Path(__file__).with_name("page.html").read_bytes()
PACKAGES = ("chromium", "libnss3-tools")
PATIENCE = 60
"""Seconds in which anything that should happen has happened; a browser starts in a few."""

# fmt: off
CHROMIUM = (
    "chromium", "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    # Its own sandbox refuses to run as root. The certificate is verified all the same.
    "--no-sandbox",
    # It reaches the host as it is, and nothing else.
    "--no-proxy-server", "--disable-background-networking", "--disable-component-update",
)
# fmt: on


@pytest.fixture(scope="module", autouse=True)
def chromium() -> None:
    """Debian's browser, and the program that adds to what it trusts."""
    if shutil.which("chromium") and shutil.which("certutil"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip(f"there is no browser: apt install {' '.join(PACKAGES)}")
    install = ("apt-get", "-qq", "install", "--yes", "--no-install-recommends", *PACKAGES)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (("apt-get", "-qq", "update"), install):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    site = make_site(["browser"], ["browser"])
    site.deploy()
    return site


Events = queue.Queue[dict[str, Any]]


class Pages(http.server.ThreadingHTTPServer):
    """A web server for the page, with the events that pages have told it of."""

    events: Events


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    """A web server for the page, with the events that pages have told it of."""

    events: Events = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.startswith("/?")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(PAGE if found else b"")

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            events.put(json.loads(self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = Pages(("127.0.0.1", 0), Handler)
    server.events = events
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def home(site: Site, tmp_path: Path) -> Path:
    """A home folder whose owner has told the browser to trust the service's certificate."""
    database = tmp_path / ".pki" / "nssdb"
    database.mkdir(parents=True)
    where = ("certutil", "-d", f"sql:{database}")
    subprocess.run((*where, "-N", "--empty-password"), check=True)
    # P: this certificate itself, as the one of a server. It can't vouch for others.
    trust = ("-A", "-n", "service", "-t", "P,,", "-i", str(site.fetch_certificate()))
    subprocess.run((*where, *trust), check=True)
    return tmp_path


@pytest.fixture
def open_page(site: Site, pages: Pages) -> Iterator[Callable[..., Events]]:
    """Return a function that opens the page in a browser, and returns where its events come in."""
    with contextlib.ExitStack() as browsers:

        def browse(home: Path, **options: Any) -> Events:
            while not pages.events.empty():
                pages.events.get()
            query = urllib.parse.urlencode({"url": f"wss://{site.host.domain}/", **options})
            url = f"http://127.0.0.1:{pages.server_port}/?{query}"
            browsers.enter_context(browser(home, url))
            return pages.events

        yield browse


@contextlib.contextmanager
def browser(home: Path, url: str) -> Iterator[None]:
    with (home / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [*CHROMIUM, f"--user-data-dir={home / 'profile'}", url],
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        # All of its processes are in the group that it was started in.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def events_until_closed(events: Events) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] != "close":
        found.append(events.get(timeout=PATIENCE))
    return found


ECHOED: list[dict[str, object]] = [
    {"type": "message", "data": "marco, ünïcode"},
    {"type": "message", "data": [0, 1, 254, 255]},
]


def test_it_exchanges_messages_and_closes_cleanly(
    home: Path, open_page: Callable[..., Events]
) -> None:
    opened, *echoed, closed = events_until_closed(open_page(home, close="yes"))
    assert opened["type"] == "open"
    assert "permessage-deflate" in opened["extensions"]
    assert echoed == ECHOED
    assert closed == {"type": "close", "code": 1000, "reason": "that is all", "wasClean": True}


def test_a_redeploy_tells_it_to_come_back(
    site: Site, home: Path, open_page: Callable[..., Events]
) -> None:
    events = open_page(home)
    opened: dict[str, object] = {"type": "open"}
    for expected in (opened, *ECHOED):
        assert expected.items() <= events.get(timeout=PATIENCE).items()
    app = site.settings["app"]
    site.deploy(app=app.replace("drain=2", "drain=2, env={'COLOUR': 'red'}"))
    closed = events.get(timeout=PATIENCE)
    assert (closed["code"], closed["wasClean"]) == (1012, True)


def test_without_trust_it_does_not_connect(
    tmp_path: Path, open_page: Callable[..., Events]
) -> None:
    """What the other tests see is not for lack of verifying."""
    (closed,) = events_until_closed(open_page(tmp_path, close="yes"))
    assert (closed["code"], closed["wasClean"]) == (1006, False)
