"""Groups of hosts are checked together with the settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pyinfra.connectors.ssh import ConnectorData

from tests.unit.settings.conftest import MakeSettings
from wsdeploy import SettingsError, hosts
from wsdeploy.inventory.groups import SSH_DATA

HEAD = """
from wsdeploy import App, SelfSigned, Settings, hosts
settings = Settings("ws.a-company.com", App("app.py"), SelfSigned())
"""
NAME = "give a host name or an address"
# A letter outside ASCII that regular expressions take for an s when case does not matter.
LONG_S = "v\u017f"
PLACEHOLDER = "that is a placeholder; give your own host's name"


Read = Callable[[str], dict[str, list[Any]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Run an inventory file as pyinfra does, then read its groups as pyinfra does."""

    def inventory(groups: str) -> dict[str, list[Any]]:
        path = tmp_path / "inventory.py"
        path.write_text(HEAD + groups)
        variables: dict[str, Any] = {"__file__": str(path)}
        exec(compile(path.read_text(), path, "exec"), variables)  # noqa: S102 (as pyinfra does)
        return {
            name: list(value[0])
            for name, value in variables.items()
            if isinstance(value, tuple) and not name.startswith("_")
        }

    return inventory


def complaints(read: Read, groups: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(groups)
    return [str(problem) for problem in raised.value.problems]


BOTH = "app, proxy = hosts(settings, app={})"

BAD = [
    (BOTH.format([]), ['app: no hosts; give their names: app=["app1.your-company.com"]']),
    (
        'app, proxy = hosts(settings, app=["10.0.0.1"], proxy=[])',
        ['proxy: no hosts; give their names: proxy=["proxy1.your-company.com"]'],
    ),
    (
        'app, proxy = hosts(settings, app=["10.0.0.1", "10.0.0.2", "10.0.0.1"], '
        'proxy=["10.0.0.1", "10.0.0.2"])',
        ["app: '10.0.0.1' given; listed twice; list it once"],
    ),
    (
        'app, proxy = hosts(settings, app=["10.0.0.1", ("10.0.0.1", {"ssh_port": 23})])',
        ["app: '10.0.0.1' given; listed twice; list it once"],
    ),
]


def test_mistakes(read: Read) -> None:
    assert [complaints(read, groups) for groups, _ in BAD] == [expected for _, expected in BAD]


def test_what_is_no_host(read: Read) -> None:
    wanted: dict[str, Any] = {
        NAME: ("", "a b", "a..b", "root@10.0.0.1", "10.0.0.1:22", "[::1]", "-a.com", "a_b", LONG_S),
        PLACEHOLDER: ("app1.example.com", "APP1.Example.COM", "app1.your-company.com"),
        'give "name" or ("name", {data})': (5, None, ("h",), ("h", {}, 1), (5, {}), ["h"]),
    }
    for message, entries in wanted.items():
        for entry in entries:
            found = complaints(read, BOTH.format(["10.0.0.1", entry]))
            assert found == [f"app: {entry!r} given; {message}"]


def test_mistakes_of_settings_and_groups_are_reported_together(read: Read) -> None:
    text = 'settings = Settings(tls=SelfSigned())\napp, proxy = hosts(settings, app=["a b"])'
    found = complaints(read, text)
    assert [line.split(":")[0] for line in found] == ["domain", "app", "app"]


def test_good_hosts(read: Read) -> None:
    hosts = ["10.0.0.1", "::1", "@fake/a", "@local", "vm-1", ("10.0.0.2", {"ssh_port": 2222})]
    assert read(BOTH.format(hosts)) == {"app": hosts, "proxy": hosts}


def test_a_single_name_is_a_group_of_one(read: Read) -> None:
    assert len(read('app, proxy = hosts(settings, app="10.0.0.1")')["app"]) == 1


def test_hosts_that_are_generated(read: Read) -> None:
    text = 'app, proxy = hosts(settings, app=(f"10.0.0.{n}" for n in range(3)))'
    assert read(text)["proxy"] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]


def test_the_settings_that_were_given_stay_as_they_are(make: MakeSettings) -> None:
    settings = make()
    (_, data), _ = hosts(settings, app=["10.0.0.1"])
    assert settings.topology.app == ()
    assert data["settings"].topology.app == ("10.0.0.1",)
    assert data["settings"].to_json() == settings.to_json()


def test_host_data(make: MakeSettings) -> None:
    (_, data), (_, also) = hosts(make(), app=["10.0.0.1"], ssh_user="debian", _sudo=True)
    assert data == also
    assert data.items() >= {"ssh_user": "debian", "_sudo": True}.items()
    assert data["ssh_strict_host_key_checking"] == "yes"


def test_a_key_that_nobody_has_seen_is_taken_only_where_the_inventory_says_so(
    make: MakeSettings,
) -> None:
    (_, data), _ = hosts(make(), app=["app1"], ssh_strict_host_key_checking="accept-new")
    assert data["ssh_strict_host_key_checking"] == "accept-new"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"ssh_port": "twentytwo"}, "ssh_port: 'twentytwo' given; give a whole number from 1 to "),
        ({"ssh_port": 0}, "ssh_port: 0 given; give a whole number from 1 to 65,535"),
        ({"ssh_users": "root"}, "ssh_users: pyinfra has no such data (did you mean ssh_user?)"),
        ({"ssh_colour": "red"}, "ssh_colour: pyinfra has no such data; known are ssh_hostname, "),
        ({"ssh_password": 5}, "ssh_password: a value of type int given; give a string"),
        ({"ssh_key": "no-such-key"}, "ssh_key: 'no-such-key' given; give one that exists on "),
        (
            {"privat_address": "10.0.0.1"},
            "privat_address: no such data (did you mean private_address?)",
        ),
    ],
)
def test_host_data_that_is_mistaken(read: Read, data: dict[str, Any], said: str) -> None:
    for groups in (
        BOTH.format([("10.0.0.1", data)]),
        f"{BOTH.format(['10.0.0.1'])[:-1]}, **{data})",
    ):
        (line,) = complaints(read, groups)
        assert line.startswith(said)


def test_host_data_of_ones_own(read: Read) -> None:
    entry = ("10.0.0.1", {"rack": 7, "address": "x", "private_network": "y", "ssh_key": None})
    assert read(BOTH.format([entry]))["app"] == [entry]


def test_the_data_for_ssh_is_what_pyinfra_reads() -> None:
    assert get_type_hints(ConnectorData) == SSH_DATA
