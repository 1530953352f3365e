"""A host on the open Internet: its firewall, its sandboxes, and upgrades under held clients."""

import contextlib
import resource
import select
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import wsdeploy_sandbox as sandbox
from tests.sandbox.site import Site
from wsdeploy_sandbox import SandboxHost

COMBINATIONS = [("bookworm", "Nginx"), ("trixie", "HAProxy")]

ALL_PORTS = range(1, 65_536)


@pytest.fixture(scope="module")
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(
        ["hard"],
        ["hard"],
        app='App("files/app.py", processes=2, drain=2, shutdown_drain=1, '
        'writable=("/srv/uploads",), probe=Probe(send="hello", expect="hello"))',
    )


def answering(
    address: str, ports: Sequence[int] = ALL_PORTS, at_once: int = 4000, wait: float = 1
) -> set[int]:
    """Return the TCP ports of an address that accept a connection from this machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        at_once = min(at_once, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (at_once + 500, hard))
    family, found = socket.AF_INET6 if ":" in address else socket.AF_INET, set()
    for start in range(0, len(ports), at_once):
        with contextlib.ExitStack() as opened:
            poll, waiting = select.poll(), {}
            for port in ports[start : start + at_once]:
                attempt = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
                attempt.setblocking(False)
                attempt.connect_ex((address, port))
                poll.register(attempt, select.POLLOUT)
                waiting[attempt.fileno()] = attempt, port
            deadline = time.monotonic() + wait
            while waiting and (left := deadline - time.monotonic()) > 0:
                for descriptor, _ in poll.poll(left * 1000):
                    poll.unregister(descriptor)
                    attempt, port = waiting.pop(descriptor)
                    if attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                        found.add(port)
    return found


def wait_until(condition: Callable[[], object], most: float = 90) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() < start + most, "it never became true"
        time.sleep(0.2)


def ssh_answers(host: SandboxHost) -> bool:
    try:
        with socket.create_connection((host.address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def test_what_others_may_reach(site: Site) -> None:
    site.deploy(firewall='Firewall(allow=["tcp/9100", "vrrp from 10.0.0.0/8"])')
    site.echoes()
    # Two services of the user's own.
    for unit, port in (("exporter", 9100), ("other", 9200)):
        site.ssh(f"systemd-run --unit={unit} python3 -m http.server --bind :: {port}")
    wait_until(lambda: answering(site.host.address, [9100, 9200]) == {9100})
    result = site.pyinfra()
    assert result.totals["success"] == 0, result.changed
    assert "closed to other hosts by the firewall: tcp/9200 (other.service)" in result.output
    assert "tcp/9100" not in result.output


def test_only_ssh_and_the_proxy_answer(site: Site) -> None:
    site.deploy(firewall="True")
    for address in (site.host.address, site.host.address6):
        assert answering(address) == {22, 80, 443}, address
    site.ssh("systemctl stop exporter other")


def test_ssh_is_slowed_down_and_never_shut_out(site: Site) -> None:
    # OpenSSH 9.8 and later turns away whoever comes often without logging in; that is not ours.
    site.ssh(
        "if sshd -T | grep -q '^persourcepenalties '; then "
        "echo PerSourcePenalties no >/etc/ssh/sshd_config.d/penalties.conf; "
        "systemctl reload ssh; fi"
    )
    # It listens anew.
    wait_until(lambda: ssh_answers(site.host))
    tries = 90
    opened = answering(site.host.address, [22] * tries)
    assert opened == {22}
    counted = 0
    for _ in range(tries):
        try:
            socket.create_connection((site.host.address, 22), timeout=0.9).close()
            counted += 1
        except TimeoutError:
            break
    assert counted < tries, "nobody counts"
    # What was dropped is sent again after a second.
    assert site.ssh("echo in", anew=True) == "in\n"


def test_a_wrong_setting_does_not_lock_ssh_out(site: Site) -> None:
    before = site.ssh("cat /etc/ws/firewall.nft")
    site.write(firewall='Firewall(ssh_from=["192.0.2.0/24"])')
    with site.client() as held:
        result = site.pyinfra()
        held.send("still")
        assert held.recv(60) == "still"
    assert result.code == 1
    assert "the firewall would lock this machine out" in result.output
    assert "Traceback" not in result.output
    assert ssh_answers(site.host)
    assert site.ssh("cat /etc/ws/firewall.nft") == before
    assert "192.0.2" not in site.ssh("nft list table inet ws")
    site.write(firewall="True")
    site.converged()


def test_a_run_that_is_killed_in_the_trial_does_not_lock_ssh_out(
    site: Site, kill_run: Callable[..., None]
) -> None:
    site.write(firewall='Firewall(ssh_from=["192.0.2.0/24"])')
    # New rules are loaded by then, and this machine waits for a connection that never comes.
    kill_run(site, "Base | Firewall", until=lambda: not ssh_answers(site.host))
    wait_until(lambda: ssh_answers(site.host))
    assert "192.0.2" not in site.ssh("nft list table inet ws")
    site.write(firewall="True")
    site.converged()


def test_right_settings_are_kept(site: Site) -> None:
    network = f"{site.host.address.rpartition('.')[0]}.0/24"
    site.deploy(firewall=f'Firewall(ssh_from=["{network}", "2001:db8::/32"])')
    assert ssh_answers(site.host)
    site.converged()
    site.deploy(firewall="True")


def test_who_may_not_become_root_is_told_so(site: Site, combination: tuple[str, str]) -> None:
    if combination[0] == "bookworm":
        pytest.skip("the user is root there")
    sudoers = "/etc/sudoers.d/admin"
    site.ssh(f"cp {sudoers} /root/; sed -i s/NOPASSWD:// {sudoers}")
    try:
        result = site.pyinfra()
        assert result.code == 1
        assert "admin can not become root: give that user sudo without a password" in result.output
        assert "Traceback" not in result.output
    finally:
        site.ssh(f"cp /root/admin {sudoers}")
    site.converged()


def test_a_password_that_nobody_can_give_is_named(site: Site, combination: tuple[str, str]) -> None:
    if combination[0] == "bookworm":
        pytest.skip("the user is root there")
    sudoers = "/etc/sudoers.d/admin"
    site.ssh(f"cp {sudoers} /root/; sed -i s/NOPASSWD:// {sudoers}")
    try:
        result = site.pyinfra("deploy.py", "-y", "--sudo")
        assert result.code == 1
        assert "nobody answers, as there is no terminal; let the user have sudo" in result.output
        assert "Traceback" not in result.output
    finally:
        site.ssh(f"cp /root/admin {sudoers}")


def test_without_a_terminal_a_run_says_what_it_would_ask(site: Site) -> None:
    site.write(app='App("files/app.py", processes=3, drain=3)')
    result = site.pyinfra("deploy.py")
    assert result.code == 1
    assert "there is no terminal; give -y to make the changes" in result.output
    assert "Traceback" not in result.output
    site.write(app='App("files/app.py", processes=3, drain=2)')


def test_a_key_that_is_not_known_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What sends secrets has to know where to."""
    (tmp_path / "known_hosts").touch()
    text = site.inventory.read_text()
    site.inventory.write_text(text.replace(site.host.known_hosts, str(tmp_path / "known_hosts")))
    result = site.pyinfra()
    site.inventory.write_text(text)
    assert result.code == 1
    assert "compare its fingerprint and log in once with ssh" in result.output


def test_sandboxes_let_the_app_write_where_it_should(site: Site) -> None:
    pid = site.ssh("supervisorctl pid").strip()
    inside = f"nsenter --mount --target {pid}"
    app = f"{inside} setpriv --reuid ws --regid ws --clear-groups"
    for path in ("/var/lib/ws/a", "/srv/uploads/a", "/tmp/a"):
        site.ssh(f"{app} touch {path}")
    assert "/tmp/a" not in site.ssh("ls -d /tmp/*")
    # Not even root.
    for path in ("/srv/ws/a", "/etc/a", "/usr/bin/a", "/var/lib/a"):
        said = site.ssh(f"{inside} touch {path} 2>&1 || true")
        assert "Read-only file system" in said, path
    assert site.ssh(f"{inside} ls /root") == ""
    status = site.ssh(f"cat /proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_a_unit_with_an_older_sandbox_is_named_and_not_restarted(site: Site) -> None:
    app = site.settings["app"]
    site.write(app=app.replace('"/srv/uploads",', '"/srv/uploads", "/srv/more"'))
    before = site.ssh("supervisorctl pid")
    result = site.pyinfra()
    assert result.code == 0, result.output
    assert site.ssh("supervisorctl pid") == before
    again = site.pyinfra()
    assert "supervisor gets its present sandbox when it is started next" in again.output
    assert again.totals["success"] == 0, again.changed
    # The planned way: clients are told.
    with site.under_load(rate=1, held=20) as outcome:
        site.ssh("systemctl restart supervisor")
    assert outcome["codes"] == {"1012": 20}
    site.serves()
    again = site.pyinfra()
    assert "present sandbox" not in again.output
    site.deploy(app=app)
    site.ssh("systemctl restart supervisor")
    wait_until(lambda: site.pyinfra().totals.get("success") == 0)


PACKAGES = {"Nginx": "nginx nginx-common", "HAProxy": "haproxy"}
LIBRARIES = {"bookworm": "libc6 libssl3", "trixie": "libc6 libssl3t64"}
APT = "DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -q -y --no-install-recommends"


def test_reinstalled_packages_cut_nobody(site: Site, combination: tuple[str, str]) -> None:
    """The packages, and libraries that all processes use, with needrestart at work."""
    suite, proxy = combination
    site.ssh(f"apt-get -q update && {APT} install needrestart")
    before = site.ssh("supervisorctl pid")
    packages = f"supervisor {PACKAGES[proxy]} {LIBRARIES[suite]}"
    with site.under_load(rate=20, held=100) as outcome:
        said = site.ssh(f"{APT} install --reinstall {packages} 2>&1")
        # A change of the proxy's settings gets through, though old processes hold clients.
        site.deploy(proxy=f"{proxy}(access_log=False)")
        site.deploy(proxy=f"{proxy}()")
    assert "Setting up supervisor" in said
    assert outcome["codes"] == {}, said
    assert outcome["failed"] == {}, said
    assert site.ssh("supervisorctl pid") == before
    result = site.pyinfra()
    assert result.totals["success"] == 0, result.changed
    assert "supervisor was upgraded and runs as it was before" in result.output


# Packages of a higher version, in a repository that says it is Debian's.
REPOSITORY = r"""set -eu
rm -rf /srv/repository && mkdir /srv/repository && cd /srv/repository
for package in supervisor {packages}; do
    version=$(dpkg-query -W -f '${{Version}}' $package)
    apt-get -q download $package >/dev/null
    dpkg-deb -R $package*.deb tree && rm $package*.deb
    sed -i "s/^Version: .*/Version: $version.1/" tree/DEBIAN/control
    # Packages of one source want each other in the very same version.
    sed -i -E -e 's/, [a-z0-9-]+ [(]<< [^)]*[)]//g' -e 's/[(]= /(>= /g' tree/DEBIAN/control
    dpkg-deb -Znone -b tree $package.deb >/dev/null && rm -r tree
done
for file in *.deb; do
    dpkg-deb -f $file
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' \
        $file $(stat -c %s $file) $(sha256sum $file | cut -d' ' -f1)
done >Packages
. /etc/os-release
cat >Release <<EOF
Origin: Debian
Label: Debian-Security
Suite: stable-security
Codename: $VERSION_CODENAME-security
SHA256:
 $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages
EOF
echo "deb [trusted=yes] file:/srv/repository ./" >/etc/apt/sources.list.d/upgrade.list
apt-get -q update >/dev/null
"""


def test_an_unattended_upgrade_cuts_nobody(site: Site, combination: tuple[str, str]) -> None:
    packages = PACKAGES[combination[1]]
    site.deploy(security_updates="True")
    site.ssh("sh -s", text=REPOSITORY.format(packages=packages))
    before = site.ssh("supervisorctl pid")
    with site.under_load(rate=20, held=100) as outcome:
        said = site.ssh("unattended-upgrade --verbose 2>&1")
    versions = site.ssh(f"dpkg-query -W -f '${{Version}}\\n' supervisor {packages}").split()
    assert [version for version in versions if not version.endswith(".1")] == [], said
    assert outcome["codes"] == {}, said
    assert outcome["failed"] == {}, said
    assert site.ssh("supervisorctl pid") == before
    site.converged()


def test_everything_is_back_after_a_reboot(site: Site) -> None:
    sandbox.reboot(site.host.name)
    site.serves()
    site.converged()
    site.echoes()
    assert answering(site.host.address, [22, 80, 443, 111, 8000]) == {22, 80, 443}
    result = site.pyinfra()
    assert "present sandbox" not in result.output
    assert "was upgraded" not in result.output


def test_checks_of_the_fleet(site: Site) -> None:
    site.checked()
