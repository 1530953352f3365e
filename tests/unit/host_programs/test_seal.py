"""A machine that is readied for an image: what goes, and what stays."""

from pathlib import Path

from wsdeploy import App, CertFiles, FromCommand, FromFile, SelfSigned, Settings
from wsdeploy.deploy.operations.seal import secret_files
from wshost.config import seal

GONE = [
    "/etc/ws/0123456789ab.env",
    "/etc/ws/tls/key.pem",
    "/etc/ws/tls/internal.pem",
    "/etc/ws/acme/account.json",
    "/etc/tmpfiles.d/ws-generation.conf",
    "/etc/ssh/ssh_host_ed25519_key",
    "/var/lib/ws/uploads/of-a-client",
    "/var/lib/ws/.cache",
    "/var/lib/wsdeploy/services/ws/lock.json",
    "/var/lib/wsdeploy/services/ws/generations/0123456789ab.json",
    "/var/log/ws/0123456789ab/ws_00.log",
    "/var/log/ws/deploys.log",
    "/var/log/nginx/ws.log",
    "/var/log/journal/0123/system.journal",
    "/root/.bash_history",
    "/home/admin/.bash_history",
]
KEPT = [
    "/etc/nginx/nginx.conf",
    "/etc/ssh/sshd_config",
    "/etc/ws/firewall.nft",
    "/etc/wsx/0123456789ab.env",
    "/opt/ws/run",
    "/srv/ws/releases/0123456789ab/app/app.py",
    "/var/lib/wsdeploy/sets/ws-nginx.json",
    "/var/lib/wsdeploy/services/other/lock.json",
]


def test_what_is_secret_or_tells_of_the_machine_goes(tmp_path: Path) -> None:
    for path in GONE + KEPT:
        file = tmp_path / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (tmp_path / "srv/ws/current").symlink_to("releases/0123456789ab")
    seal.clear(f"{tmp_path}{pattern}" for pattern in (*seal.patterns("ws"), *seal.IDENTITY))
    left = {f"/{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*KEPT}
    assert not (tmp_path / "srv/ws/current").is_symlink()
    # Of what is not there, nothing is said.
    seal.clear([str(tmp_path / "none")])


def test_files_with_secrets_that_the_settings_name() -> None:
    app = App("app.py", secrets={"A": FromFile("/etc/ws-a"), "B": FromCommand(["pass", "b"])})
    assert secret_files(Settings("ws.a-company.com", app, SelfSigned())) == ["/etc/ws-a"]
    tls = CertFiles("/etc/ws-tls/cert.pem", "/etc/ws-tls/key.pem")
    made = Settings("ws.a-company.com", App("app.py"), tls)
    assert secret_files(made) == ["/etc/ws-tls/key.pem"]
