"""The life of a host with app and proxy on it: deploy, deploy again, change, break, recover.

The tests of this file are steps on one host, in the order they stand in.
"""

import contextlib
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

import wsdeploy_sandbox as sandbox
from tests.sandbox.site import Site
from wsdeploy.checks.client import Client

COMBINATIONS = [("bookworm", "Nginx"), ("trixie", "HAProxy")]


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(["one"], ["one"], bare=True)


@dataclass(frozen=True)
class Proxy:
    """A proxy's configuration: where it is, and how to break it."""

    unit: str
    file: str
    template: str
    word: str
    """A word of the template that the proxy would not know without its last letter."""
    bind: str
    """What stands in its part _http.j2 for listening on port 80."""
    bind_more: str
    """The same, and for port 8099 too."""
    unlogged: str
    """What is in the configuration if nothing is logged."""
    limit: str
    block: str
    """Where directives of one's own can be."""
    own: str
    """One that adds a header to answers."""


PROXIES = {
    "Nginx": Proxy(
        "nginx.service",
        "/etc/nginx/nginx.conf",
        "nginx/nginx.conf.j2",
        word="server_tokens",
        bind="listen 80;",
        bind_more="listen 80; listen 8099;",
        unlogged="+     access_log off",
        limit="worker_connections",
        block="server",
        own="        add_header X-Own yes always;",
    ),
    "HAProxy": Proxy(
        "haproxy.service",
        "/etc/haproxy/haproxy.cfg",
        "haproxy/haproxy.cfg.j2",
        word="http-server-close",
        bind="bind :{{ http_port }}\n",
        bind_more="bind :{{ http_port }}\n    bind :8099\n",
        unlogged="-     log global",
        limit="maxconn",
        block="frontend",
        own="    http-after-response set-header X-Own yes",
    ),
}


@pytest.fixture(scope="module")
def proxy(combination: tuple[str, str]) -> Proxy:
    return PROXIES[combination[1]]


def test_dry_run_on_a_fresh_host(site: Site, proxy: Proxy) -> None:
    """It plans everything, from packages to proxy, and touches nothing."""
    before = site.ssh("find /etc /srv /usr/local -newer /proc/1 | sort")
    result = site.pyinfra("deploy.py", "--dry", "--diff")
    assert result.code == 0, result.output
    assert proxy.limit in result.output
    assert site.ssh("find /etc /srv /usr/local -newer /proc/1 | sort") == before


# A run that is killed leaves programs on the host to their own end, which is why the next run may
# have to wait for them; it may not fail.
@pytest.mark.parametrize(
    "operation", ["Packages", "User, folders", "Supervisor", "Processes", "Proxy | {unit}"]
)
def test_a_killed_run_is_taken_up_by_the_next(
    site: Site, proxy: Proxy, kill_run: Callable[..., None], operation: str
) -> None:
    operation = operation.format(unit=proxy.unit)
    kill_run(site, operation)


def test_deploy(site: Site) -> None:
    site.deploy()
    site.echoes()


def test_second_run_changes_nothing(site: Site) -> None:
    site.converged()


def test_checks_of_the_fleet(site: Site) -> None:
    site.checked("--disruptive")


def test_everything_is_back_after_a_reboot(site: Site) -> None:
    sandbox.reboot(site.host.name)
    site.serves()
    site.converged()
    site.echoes()


def test_number_of_processes_costs_no_exchanges(site: Site) -> None:
    """A run with nothing to do asks as often for 16 processes as for 2, and at most 6 times."""

    def exchanges() -> int:
        output = site.pyinfra("deploy.py", "-y", "--debug").output
        return output.count("Running command on")

    few = exchanges()
    site.deploy(app=site.settings["app"].replace("processes=2", "processes=16"))
    assert exchanges() == few <= 6
    site.deploy(app=site.settings["app"].replace("processes=16", "processes=2"))
    site.converged()


def test_a_new_environment_makes_a_new_generation(site: Site) -> None:
    before = site.live_generation()
    app = site.settings["app"]
    result = site.deploy(app=app.replace("drain=2", 'drain=2, env={"COLOUR": "violet-4711"}'))
    assert result.changed == ["App | Processes", "App | Old processes"]
    assert site.live_generation() != before
    assert "violet-4711" in site.ssh("cat /proc/$(pgrep -u ws -n python3)/environ | tr '\\0' '\\n'")
    assert site.ssh("ls /run/ws | wc -l").strip() == "2", "the old generation is left over"


def test_diff_hides_secrets(site: Site, proxy: Proxy, combination: tuple[str, str]) -> None:
    app = site.settings["app"].replace("violet-4711", "violet-4712")
    site.write(app=app, proxy=f"{combination[1]}(access_log=False)")
    result = site.pyinfra("deploy.py", "--dry", "--diff", "-vvv")
    assert proxy.unlogged in strip(result.output)
    assert "violet-471" not in result.output
    assert "PRIVATE KEY" not in result.output
    site.write(app=app.replace("violet-4712", "violet-4711"), proxy=f"{combination[1]}()")


def test_a_new_release_closes_old_connections_with_a_code(site: Site, copy: Path) -> None:
    with site.client() as held:
        code = copy / "files" / "app.py"
        code.write_text(code.read_text().replace(".send(message)", ".send(message.upper())"))
        # The new version answers in capitals, so the probe must expect that.
        app = site.settings["app"]
        site.write(app=app.replace('expect="hello"', 'expect="HELLO"'))
        codes = []
        thread = threading.Thread(target=lambda: codes.append(close_code(held)))
        thread.start()
        assert site.pyinfra().code == 0
        thread.join(30)
        assert codes == [1012]
        with site.client() as websocket:
            websocket.send("marco")
            assert websocket.recv(60) == "MARCO"
    site.project = copy.parent  # the next deployment comes from the project itself
    site.write(app=app)


def strip(text: str) -> str:
    """Drop the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def close_code(websocket: Client) -> int:
    try:
        while True:
            websocket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def test_back_to_the_project(site: Site) -> None:
    site.deploy()
    site.echoes()


def test_a_release_that_crashes_never_serves(site: Site, copy: Path) -> None:
    before = site.live_generation()
    app = site.settings["app"]
    (copy / "files" / "app.py").write_text("raise RuntimeError('no database today')\n")
    site.write(app=app.replace("drain=2", "drain=2, start_timeout=5"))
    with site.client() as held:
        result = site.pyinfra()
        assert result.code == 1
        assert "no database today" in result.output
        assert site.live_generation() == before
        held.send("still")
        assert held.recv(60) == "still"
    site.echoes()
    assert len(site.ssh("ls /etc/supervisor/conf.d").split()) == 2
    site.write(app=app)


def test_a_broken_template_leaves_the_proxy_as_it_was(site: Site, proxy: Proxy, copy: Path) -> None:
    before = site.ssh(f"sha256sum {proxy.file}")
    template = copy / "templates" / proxy.template
    template.write_text(template.read_text().replace(proxy.word, proxy.word[:-1]))
    result = site.pyinfra()
    assert result.code == 1
    said = [line for line in result.output.splitlines() if "unknown" in line]
    assert said
    assert proxy.word[:-1] in said[0]
    assert site.ssh(f"sha256sum {proxy.file}") == before
    site.echoes()


def test_a_template_that_only_fails_when_it_is_activated(
    site: Site, proxy: Proxy, copy: Path
) -> None:
    """The checks find nothing wrong with a port that somebody else listens on."""
    site.ssh("systemd-run --unit=squatter python3 -m http.server 8099")
    template = (copy / "templates" / proxy.template).with_name("_http.j2")
    template.write_text(template.read_text().replace(proxy.bind, proxy.bind_more))
    before = site.ssh(f"sha256sum {proxy.file}")
    result = site.pyinfra()
    site.ssh("systemctl stop squatter")
    assert result.code == 1
    assert "8099" in result.output
    assert site.ssh(f"sha256sum {proxy.file}") == before
    site.echoes()


def test_a_template_of_ones_own(site: Site, proxy: Proxy) -> None:
    """It adds what it says, it may not break anything, and it goes again."""
    folder = site.folder / "templates"
    template = folder / proxy.template
    template.parent.mkdir(parents=True)
    begin = f'{{% extends "wsdeploy/{proxy.template}" %}}\n'
    for text, said in (("nonsense yes;", "nonsense"), ("{{ nothing }}", "'nothing'")):
        template.write_text(f"{begin}{{% block {proxy.block} %}}\n{text}\n{{% endblock %}}\n")
        result = site.pyinfra()
        assert result.code == 1
        assert said in result.output
        assert "Traceback" not in result.output
    template.write_text(f"{begin}{{% block {proxy.block} %}}\n{proxy.own}\n{{% endblock %}}\n")
    result = site.deploy()
    assert result.changed == [f"Proxy | {proxy.unit}"]
    asked = f"curl --silent --insecure --include https://{site.host.domain}/healthz"
    done = subprocess.run(asked.split(), capture_output=True, text=True, check=True)
    assert "x-own: yes" in done.stdout.lower()
    shutil.rmtree(folder)
    site.deploy()


def test_still_converged(site: Site) -> None:
    site.converged()


def test_a_changed_file_on_the_host_is_put_right(site: Site, proxy: Proxy) -> None:
    site.ssh(f"echo '# local edit' >>{proxy.file}")
    result = site.deploy()
    assert result.changed == [f"Proxy | {proxy.unit}"]
    site.converged()


def test_new_names_make_a_new_certificate(site: Site) -> None:
    site.deploy(tls='SelfSigned(names=["alias.sandbox.test", "fd00::1"])')
    with site.client() as websocket:
        names = websocket.certificate["subjectAltName"]
    assert ("DNS", "alias.sandbox.test") in names
    site.converged()


def scrape(site: Site) -> dict[str, float]:
    """What Prometheus would read: each sample with its labels."""
    url = f"http://{site.host.address}:9101/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def total(samples: dict[str, float], name: str) -> float:
    return sum(value for key, value in samples.items() if key.partition("{")[0] == name)


def test_a_page_of_numbers_for_prometheus(site: Site, proxy: Proxy) -> None:
    """Of all processes, also while one hangs, for whom the settings name, and nobody else."""
    network = site.host.address.rpartition(".")[0]
    site.deploy(metrics=f'Metrics(["{network}.1"])')
    site.converged()
    with contextlib.ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(site.client())
        found = scrape(site)
        assert total(found, "wsapp_connections") == 3
        # Those of nginx's old workers count, too.
        assert found["ws_proxy_connections"] >= 3
    ups = {key: value for key, value in found.items() if key.startswith("ws_process_up{")}
    assert set(ups.values()) == {1}
    assert any(f'generation="{site.live_generation()}"' in key for key in ups)
    assert found[f'ws_unit_active{{unit="{proxy.unit}"}}'] == 1
    assert total(found, "ws_certificate_not_after") > time.time()
    assert found["ws_firewall_as_deployed"] == 1
    assert 'ws_deploy_last_ok{action="deploy"}' in found
    pid = site.ssh("supervisorctl pid $(supervisorctl status | awk 'NR == 1 {print $1}')").strip()
    site.ssh(f"kill -STOP {pid}")
    try:
        hung = scrape(site)
    finally:
        site.ssh(f"kill -CONT {pid}")
    assert sorted(value for key, value in hung.items() if key.startswith("ws_process_up{")) == [
        0, *[1] * (len(ups) - 1),
    ]  # fmt: skip
    site.deploy(metrics=f'Metrics(["{network}.254"])')
    with pytest.raises(OSError, match="timed out"):
        urllib.request.urlopen(f"http://{site.host.address}:9101/metrics", timeout=2)
    program = "from urllib.request import urlopen; "
    program += "print(urlopen('http://localhost:9101/metrics').read().decode())"
    assert "ws_process_up{" in site.ssh(f'python3 -c "{program}"')
    site.deploy(metrics="None")
    assert "9101" not in site.ssh("ss --no-header --listening --tcp --numeric")
