"""Groups of hosts are checked with the settings, when pyinfra reads them."""

import pytest

from wsdeploy import SettingsError

HEAD = """
from wsdeploy import App, SelfSigned, Settings
settings = Settings("ws.a-company.com", App("app.py"), SelfSigned())
"""
NAME = "give a host name or an address"
# A letter outside ASCII that regular expressions take for an s when case does not matter.
LONG_S = "v\u017f"
PLACEHOLDER = "that is a placeholder; give your own host's name"


@pytest.fixture
def read(tmp_path):
    """Run an inventory file as pyinfra does, then read its groups as pyinfra does."""

    def inventory(groups):
        path = tmp_path / "inventory.py"
        path.write_text(HEAD + groups)
        variables = {"__file__": str(path)}
        exec(compile(path.read_text(), path, "exec"), variables)  # noqa: S102 (as pyinfra does)
        return {
            name: list(value[0])
            for name, value in variables.items()
            if isinstance(value, tuple) and not name.startswith("_")
        }

    return inventory


def complaints(read, groups):
    with pytest.raises(SettingsError) as raised:
        read(groups)
    return [str(problem) for problem in raised.value.problems]


BOTH = "app = proxy = settings.group({})"

BAD = [
    (
        'app = proxy = settings.group(["10.0.0.1"])\nmonitoring = app',
        ["monitoring: no such group; groups are app and proxy"],
    ),
    (
        BOTH.format([]),
        [
            "app: no hosts; say app = settings.group([...])",
            "proxy: no hosts; say proxy = settings.group([...])",
        ],
    ),
    (
        'app = settings.group(["10.0.0.1", "10.0.0.2", "10.0.0.1"])\n'
        'proxy = settings.group(["10.0.0.1", "10.0.0.2"])',
        ["app: '10.0.0.1' given; listed twice; list it once"],
    ),
    (
        'app = settings.group(["10.0.0.1", ("10.0.0.1", {"ssh_port": 23})])\n'
        'proxy = settings.group(["10.0.0.1"])',
        ["app: '10.0.0.1' given; listed twice; list it once"],
    ),
    (
        'app = settings.group(["10.0.0.1"])\nproxi = app',
        [
            "proxi: no such group (did you mean proxy?); groups are app and proxy",
            "proxy: no hosts; say proxy = settings.group([...])",
        ],
    ),
    (
        'app = settings.group(["10.0.0.1"])',
        ["proxy: no hosts; say proxy = settings.group([...])"],
    ),
    (
        'app = settings.group(["10.0.0.1"])\nproxy = settings.group([])',
        ["proxy: no hosts; say proxy = settings.group([...])"],
    ),
]


def test_mistakes(read):
    assert [complaints(read, groups) for groups, _ in BAD] == [expected for _, expected in BAD]


def test_what_is_no_host(read):
    wanted = {
        NAME: ("", "a b", "a..b", "root@10.0.0.1", "10.0.0.1:22", "[::1]", "-a.com", "a_b", LONG_S),
        PLACEHOLDER: ("app1.example.com", "APP1.Example.COM"),
        'give "name" or ("name", {data})': (5, None, ("h",), ("h", {}, 1), (5, {}), ["h"]),
    }
    for message, entries in wanted.items():
        for entry in entries:
            found = complaints(read, BOTH.format(["10.0.0.1", entry]))
            assert found == [f"{role}: {entry!r} given; {message}" for role in ("app", "proxy")]


def test_mistakes_of_settings_and_groups_are_reported_together(read):
    found = complaints(read, 'settings = Settings(tls=SelfSigned())\napp = settings.group(["a b"])')
    assert [line.split(":")[0] for line in found] == ["domain", "app", "proxy", "app"]


def test_good_hosts(read):
    hosts = ["10.0.0.1", "::1", "@fake/a", "@local", "vm-1", ("10.0.0.2", {"ssh_port": 2222})]
    assert read(BOTH.format(hosts)) == {"app": hosts, "proxy": hosts}


def test_a_single_name_is_a_group_of_one(read):
    assert len(read('app = proxy = settings.group("10.0.0.1")')["app"]) == 1


def test_names_with_an_underscore_are_nobodys_group(read):
    read('_all = settings.group(["10.0.0.1"])\napp = proxy = _all')


def test_host_data(make):
    settings = make()
    _, data = settings.group(["10.0.0.1"], ssh_user="debian", _sudo=True)
    checks = {"ssh_strict_host_key_checking": "yes"}
    assert data == {"ssh_user": "debian", "_sudo": True, "settings": settings} | checks


def test_a_key_that_nobody_has_seen_is_taken_only_where_the_inventory_says_so(make):
    _, data = make().group(["app1"], ssh_strict_host_key_checking="accept-new")
    assert data["ssh_strict_host_key_checking"] == "accept-new"
