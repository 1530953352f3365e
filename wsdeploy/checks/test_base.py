"""Every host: packages, users, folders, kernel settings."""

import pytest
from testinfra.host import Host

from wsdeploy.checks import programs
from wsdeploy.plan import components
from wsdeploy.plan.app import process_counts, supervisor, upstreams, watchdog
from wsdeploy.plan.host import firewall, paths, system, upgrades
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings


def test_packages_are_installed(any_host: Host, settings: Settings) -> None:
    missing = [
        name
        for name in components.packages(settings, any_host.inventory.name)
        if not any_host.package(name).is_installed
    ]
    assert missing == []


def test_services_may_start_again(any_host: Host) -> None:
    """What keeps services down while packages are installed is gone."""
    for unit in ("ssh.service", "nginx", "supervisor.service"):
        asked = f"test ! -e {upgrades.POLICY} || {upgrades.POLICY} --quiet {unit} start"
        assert any_host.run(asked).rc in (0, 104), unit


def test_package_upgrades_restart_nothing_that_holds_connections(any_host: Host) -> None:
    if "wsdeploy" not in any_host.run("cat %s", upgrades.POLICY).stdout:
        pytest.skip("somebody else's policy-rc.d is there")
    for service in ("supervisor", "nginx", "haproxy", "keepalived"):
        for unit in (service, f"{service}.service"):
            assert any_host.run(f"{upgrades.POLICY} {unit} restart").rc == 101
        assert any_host.run(f"{upgrades.POLICY} {service} reload").rc == 104
    needrestart = any_host.file(upgrades.NEEDRESTART).content_string
    assert "supervisor|nginx|haproxy|keepalived" in needrestart


def test_units_are_confined(any_host: Host, settings: Settings) -> None:
    """By systemd's own measure: 0 is the tightest, 9.6 is where Debian's units start."""
    units = []
    if "app" in any_host.inventory.roles:
        units.append(supervisor.UNIT)
        units += [watchdog.unit(settings)] if watchdog.wanted(settings) else []
    if "proxy" in any_host.inventory.roles:
        units.append(f"{programs.chosen(settings).service}.service")
    for unit in units:
        last = any_host.run("systemd-analyze security --no-pager %s", unit).stdout.splitlines()[-1]
        exposure = float(last.partition(f"{unit}: ")[2].split()[0])
        assert exposure <= 3.0, last


def test_app_user_can_not_log_in(any_host: Host, settings: Settings) -> None:
    user = any_host.user(settings.name)
    assert user.exists
    assert user.shell == "/usr/sbin/nologin"
    assert any_host.user(settings.name).groups == [settings.name]


@pytest.mark.parametrize(
    ("folder", "owner", "group", "mode"),
    [
        ("/srv/{name}/releases", "root", "{name}", 0o750),
        ("/etc/{name}", "root", "{name}", 0o750),
        ("/etc/{name}/tls", "root", "root", 0o700),
        ("/run/{name}", "root", "root", 0o755),
    ],
)
def test_folders(
    any_host: Host, settings: Settings, folder: str, owner: str, group: str, mode: int
) -> None:
    found = any_host.file(folder.format(name=settings.name))
    assert (found.user, found.group, found.mode) == (
        owner,
        group.format(name=settings.name),
        mode,
    )


def test_kernel_settings(any_host: Host, settings: Settings) -> None:
    for key, value, _ in system.sysctl(Target.unknown(settings, any_host.inventory.name)):
        if any_host.run(f"test -w /proc/sys/{key.replace('.', '/')}").rc == 0:
            assert str(any_host.sysctl(key)) == value


def test_no_unit_failed(any_host: Host) -> None:
    failed = any_host.check_output("systemctl list-units --failed --plain --no-legend")
    assert failed == ""


def test_nothing_else_is_public(any_host: Host, settings: Settings, survey: Survey) -> None:
    """Only SSH, and on proxies HTTP and HTTPS, listen on addresses that others can reach.

    The app's ports may too where the firewall has them: test_app_ports.py looks at those.
    """
    allowed = {22, any_host.inventory.data.get("ssh_port", 22)}
    if "proxy" in any_host.inventory.roles:
        allowed |= {80, 443}
    if firewall.wanted(settings) or (
        "app" in any_host.inventory.roles and not settings.topology.alone
    ):
        target = Target(settings, any_host.inventory.name, survey)
        counts = [process_counts.of(host, target) for host in settings.topology.app]
        allowed |= set(upstreams.reached(settings, max(counts)))
    listening = any_host.check_output("ss --no-header --listening --numeric --tcp --udp")
    public = set()
    for line in listening.splitlines():
        address, _, port = line.split()[4].rpartition(":")
        if not address.strip("[]").startswith(("127.", "::1")):
            public.add(int(port))
    assert public <= allowed


def test_the_firewall_is_in_force_and_comes_back_at_boot(
    any_host: Host, settings: Settings
) -> None:
    if not firewall.wanted(settings):
        pytest.skip("the firewall is off")
    service = any_host.service(firewall.unit(settings))
    assert service.is_running
    assert service.is_enabled
    table = any_host.check_output("nft list table inet %s", settings.name)
    assert "hook input priority filter; policy drop;" in table


def test_secrets_are_not_for_everyone(any_host: Host, settings: Settings) -> None:
    open_files = any_host.check_output(
        f"find {paths.etc(settings.name)} -type f -perm /o+r -not -name cert.pem"
    )
    assert open_files == ""
