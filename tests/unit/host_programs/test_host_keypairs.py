"""The key pairs by which the tiers of a fleet know each other, as OpenSSL makes and judges them."""

import datetime
import socket
import ssl
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wsdeploy import App, SelfSigned, Settings
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.proxy import host_keypairs as plan
from wsdeploy.plan.target import Target
from wshost.certificates import host_keypairs
from wshost.survey import certificates

NOW = datetime.datetime.now(datetime.UTC)
SETTINGS = Settings("ws.a-company.com", App("app.py"), SelfSigned())
NAME = plan.name(SETTINGS)


class Host:
    """A host's two pairs, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.used, self.spare = folder / "used.pem", folder / "spare.pem"

    def survey(self) -> Survey:
        pairs: dict[str, Any] = {
            paths.host_keypair("ws"): certificates.read(str(self.used)),
            paths.host_keypair("ws", spare=True): certificates.read(str(self.spare)),
        }
        return Survey(certificates=pairs)

    def deploy(self, now: datetime.datetime = NOW) -> list[str]:
        """Do what a deployment would do; return what that was."""
        todo = plan.work(Target(SETTINGS, "one", self.survey()), now)
        if todo:
            request = plan.request_for_work(SETTINGS, todo, ())
            there = {request["used"]: str(self.used), request["spare"]: str(self.spare)}
            request |= {"used": str(self.used), "spare": str(self.spare)}
            request["todo"] = [there.get(step, step) for step in todo]
            host_keypairs.main(request)
        return [step.rpartition("/")[2] for step in todo]


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Host]:
    def host(name: str) -> Host:
        (tmp_path / name).mkdir()
        made = Host(tmp_path / name)
        made.deploy()
        return made

    return host


def test_two_good_pairs_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.deploy() == ["internal.pem", "internal-spare.pem"]
    assert host.deploy() == []
    used, spare = plan.own(Target(SETTINGS, "one", host.survey()))
    assert used != spare
    assert "PRIVATE" not in used + spare
    for pair in (host.used, host.spare):
        assert stat.S_IMODE(pair.stat().st_mode) == 0o600
        assert pair.read_text().count("-----BEGIN") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spare.pem", "used.pem"]


def test_the_spare_pair_is_used_when_the_other_one_is_gone(make: Callable[[str], Host]) -> None:
    host = make("a")
    _, spare = plan.own(Target(SETTINGS, "one", host.survey()))
    host.used.unlink()
    assert host.deploy() == ["promote", "internal-spare.pem"]
    used, new = plan.own(Target(SETTINGS, "one", host.survey()))
    assert used == spare
    assert new != spare


def test_a_lost_spare_pair_is_made_again(make: Callable[[str], Host]) -> None:
    host = make("a")
    used, _ = plan.own(Target(SETTINGS, "one", host.survey()))
    host.spare.unlink()
    assert host.deploy() == ["internal-spare.pem"]
    assert plan.own(Target(SETTINGS, "one", host.survey()))[0] == used


def test_only_a_pair_in_use_needs_anybody_to_be_told() -> None:
    reload = (("true",),)
    told = [["true"]]
    for todo, activate in (
        (["used", "spare"], told),
        (["promote", "spare"], told),
        (["spare"], []),
    ):
        there = [paths.host_keypair("ws", spare=step == "spare") for step in todo]
        steps = [
            step if step == "promote" else path for step, path in zip(todo, there, strict=True)
        ]
        assert plan.request_for_work(SETTINGS, steps, reload)["activate"] == activate


def trust(tmp_path: Path, name: str, *hosts: Host) -> Path:
    """What a host trusts that knows these, as a file."""
    known = {
        f"host {i}": plan.own(Target(SETTINGS, "one", each.survey()))
        for i, each in enumerate(hosts)
    }
    file = tmp_path / name
    file.write_text(plan.trusted(Target(SETTINGS, "one", Survey(), known), known))
    return file


def shake_hands(server: Path, server_trusts: Path, client: Path, client_trusts: Path) -> bool:
    """Return whether both sides accept each other."""
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(server)
    inside.load_verify_locations(server_trusts)
    inside.verify_mode = ssl.CERT_REQUIRED
    outside = ssl.create_default_context(cafile=client_trusts)
    outside.load_cert_chain(client)
    one, other = socket.socketpair()
    heard: list[bytes | None] = []

    def serve() -> None:
        with one:
            try:
                with inside.wrap_socket(one, server_side=True) as connection:
                    heard.append(connection.recv(5))
                    connection.sendall(b"hello")
            except ssl.SSLError:
                heard.append(None)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with other, outside.wrap_socket(other, server_hostname=NAME) as connection:
            connection.sendall(b"hello")
            return connection.recv(5) == b"hello"
    except (ssl.SSLError, ConnectionError):
        return False
    finally:
        thread.join()


def test_hosts_that_know_each_other_talk_and_nobody_else(
    make: Callable[[str], Host], tmp_path: Path
) -> None:
    app1, app2, proxy, stranger = map(make, ("app1", "app2", "proxy", "stranger"))
    apps = trust(tmp_path, "apps", app1, app2)
    proxies = trust(tmp_path, "proxies", proxy)
    for app in (app1, app2):
        for theirs in (app.used, app.spare):
            for own in (proxy.used, proxy.spare):
                assert shake_hands(theirs, proxies, own, apps)
    assert not shake_hands(app1.used, proxies, stranger.used, apps)
    assert not shake_hands(stranger.used, proxies, proxy.used, apps)
    assert not shake_hands(app1.used, proxies, app2.used, apps), "app hosts are no proxies"
