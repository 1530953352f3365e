"""`wsdeploy render`: every file of a host, and nothing that is secret."""

from pathlib import Path

import pytest

from tests.unit.project.conftest import Run

INVENTORY = """
from wsdeploy import *

settings = Settings(
    "ws.a-company.com",
    App("app.py", env={"PLAN": "env-value"}, secrets={"API_KEY": FromFile("api-key")}),
    CertFiles("cert.pem", "key.pem"),
    internal_tls=True,
)
app, proxy = hosts(
    settings,
    app=[("app1", {"private_address": "10.0.0.1"}), ("app2", {"private_address": "10.0.0.2"})],
    proxy=[("lb1", {"private_address": "10.0.0.9"})],
)
"""


@pytest.fixture
def render(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Render the inventory with these words."""
    (here / "app.py").write_text("")
    (here / "api-key").write_text("secret-value\n")
    (here / "prod.py").write_text(INVENTORY)
    (here / "cert.pem").write_text("the certificate\n")
    (here / "key.pem").write_text("key-value\n")
    # They are not what they should be, which is tested elsewhere.
    monkeypatch.setattr("wsdeploy.inventory.local_certificates.problems", lambda *_: iter(()))
    return lambda *words: run("render", "prod.py", *words)


def test_the_screen_shows_paths_modes_and_owners(render: Run) -> None:
    done = render("app1")
    assert done.exit_code == 0, done.output
    heads = [line for line in done.stdout.splitlines() if line.startswith("==> ")]
    assert all(line.startswith("==> app1:/") for line in heads)
    assert "==> app1:/etc/ws/firewall.nft 0600 root:root (Firewall)" in heads
    assert "# app1 (app), assumed: Debian 12, x86_64, 2 processors, 4 GiB of " in done.stderr
    assert render("app1").output == done.output


def test_our_own_programs_are_left_out(render: Run, here: Path) -> None:
    few, all_of_them = render("app1"), render("app1", "--all")
    program = "/wshost/watchdog/monitor.py"
    assert program not in few.stdout
    assert "/etc/systemd/system/ws-watchdog.service" in few.stdout
    assert program in all_of_them.stdout
    count = all_of_them.stdout.count("==> ") - few.stdout.count("==> ")
    assert f"# app1: {count} files of wsdeploy's own; --all shows them\n" in few.stderr
    assert "--all" not in all_of_them.stderr
    render("app1", "--output", "out")
    assert [*(here / "out").rglob("monitor.py")]


def test_no_secret_is_shown(render: Run) -> None:
    done = render()
    assert done.exit_code == 0, done.output
    for value in ("env-value", "secret-value", "key-value"):
        assert value not in done.output
    assert "PLAN=(not shown)\n" in done.stdout
    assert "API_KEY=(not shown)\n" in done.stdout
    assert 'WS_LOG_LEVEL="info"\n' in done.stdout
    assert "==> lb1:/etc/ws/tls/key.pem 0600 root:root (Certificate)\n(not shown)\n" in done.stdout
    assert "the certificate\n" in done.stdout


def test_a_folder_for_each_host(render: Run, here: Path) -> None:
    done = render("--output", "out", "--debian", "13", "--cpus", "1", "--files", "1024")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (here / "out").iterdir()} == {"app1", "app2", "lb1"}
    assert "listen 443 ssl" in (here / "out/lb1/etc/nginx/nginx.conf").read_text()
    (program,) = (here / "out/app1/etc/supervisor/conf.d").glob("*.conf")
    assert "numprocs=12\n" in program.read_text()
    assert "lb1: this host allows 1,024 open files per process" in done.stderr
    assert "Debian 13" in done.stderr
    assert "10.0.0.2:8111" in (here / "out/lb1/etc/nginx/nginx.conf").read_text()


def test_a_folder_with_something_in_it_is_left(render: Run, here: Path) -> None:
    done = render("--output", ".")
    assert done.exit_code == 1
    assert done.output == ". has something in it; give a new folder, or an empty one\n"
    assert not (here / "app1").exists()


def test_a_host_that_there_is_not(render: Run) -> None:
    done = render("app3")
    assert done.exit_code == 1
    assert done.output == "prod.py has no host app3; it has app1, app2, lb1\n"
