"""What can be exchanged on a live host: the proxy, the domain, the app."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.site import Site

COMBINATIONS = [("trixie", "Nginx")]

PROGRAMS = {"Nginx()": "nginx", "HAProxy()": "haproxy"}


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(["switch"], ["switch"])


@pytest.mark.parametrize("proxy", ["Nginx()", "HAProxy()", "Nginx() "])
def test_proxy(site: Site, proxy: str) -> None:
    site.deploy(proxy=proxy)
    site.echoes()
    chosen = PROGRAMS[proxy.strip()]
    (other,) = set(PROGRAMS.values()) - {chosen}
    listeners = site.ssh("ss --no-header --listening --tcp --processes 'sport = :443'")
    assert f'"{chosen}"' in listeners
    assert f'"{other}"' not in listeners
    for state in ("is-active", "is-enabled"):
        assert site.ssh(f"systemctl {state} {other} 2>/dev/null || true").strip() in (
            "inactive",
            "disabled",
            "not-found",
            "",
        )
    assert other not in site.ssh("ls /var/lib/wsdeploy/sets")
    site.converged()


def test_a_proxy_that_can_not_start_leaves_the_other_one_serving(site: Site, copy: Path) -> None:
    template = copy / "templates" / "haproxy" / "haproxy.cfg.j2"
    template.write_text(template.read_text() + "\nbackend broken\n    server x nowhere:-1\n")
    site.write(proxy="HAProxy()")
    result = site.pyinfra()
    assert result.code == 1
    site.echoes()
    site.write(proxy="Nginx()")


def test_domain(site: Site) -> None:
    alias = f"listen.{site.host.domain}"
    site.deploy(domain=repr(alias))
    site.converged()
    site.deploy(domain=repr(site.host.domain))
    site.echoes()


def test_app(site: Site, tmp_path: Path) -> None:
    shout = tmp_path / "shout.py"
    shout.write_text(
        "from wsapp import run\n\n"
        "async def handler(websocket):\n"
        "    async for message in websocket:\n"
        "        await websocket.send(message.upper())\n\n"
        "run(handler)\n"
    )
    (tmp_path / "requirements.txt").write_text(
        (site.project / "files" / "requirements.txt").read_text()
    )
    app = site.settings["app"]
    site.deploy(app=f"App({str(shout)!r}, processes=2, drain=2)")
    with site.client() as websocket:
        websocket.send("marco")
        assert websocket.recv(60) == "MARCO"
    site.converged()
    site.deploy(app=app)
    site.echoes()
