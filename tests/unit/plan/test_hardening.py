"""Sandboxes of Debian's units: what they were started with, and what is said of it."""

import hashlib

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy import HAProxy, Nginx
from wsdeploy.plan.app import generation, supervisor
from wsdeploy.plan.host.files import File
from wsdeploy.plan.host.survey import PathState, Survey
from wsdeploy.plan.proxy import proxies
from wsdeploy.plan.target import Target
from wsdeploy.settings import Settings

RUNNING = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}


def noted(settings: Settings, survey: Survey) -> list[str]:
    return [
        note
        for note in supervisor.files(Target(settings, "one", survey)).notes
        if "sandbox" in note
    ]


def has(file: File) -> dict[str, PathState]:
    return {file.path: PathState("file", file.mode, file.owner, file.group, _digest(file))}


def _digest(file: File) -> str:
    return hashlib.sha256(file.content.encode()).hexdigest()


def test_the_units_note_is_what_is_looked_for(make: MakeSettings) -> None:
    settings = make()
    note = supervisor.started(settings)
    (sandbox,) = (
        f for f in supervisor.files(Target(settings, "one", Survey())).files if "20-" in f.path
    )
    assert f"echo {note.content.strip()} >{note.path}'" in sandbox.content
    assert note.path in generation.asks(settings).paths


def test_only_a_unit_that_runs_without_its_present_sandbox_is_named(make: MakeSettings) -> None:
    settings = make()
    good = has(supervisor.started(settings))
    running = {supervisor.UNIT: RUNNING}
    assert noted(settings, Survey(units=running, paths=good)) == []
    assert noted(settings, Survey()) == [], "it will have it when it starts"
    assert len(noted(settings, Survey(units=running))) == 1
    other = make({"writable": ["/srv/uploads"]})
    assert len(noted(other, Survey(units=running, paths=good))) == 1
    # What needs no new start does not count.
    assert noted(make({"shutdown_drain": 5}), Survey(units=running, paths=good)) == []


@pytest.mark.parametrize("proxy", [Nginx(), HAProxy()])
def test_proxies_have_theirs(
    make: MakeSettings, debian: MakeSurvey, proxy: HAProxy | Nginx
) -> None:
    settings, chosen = make(proxy=proxy), proxies.chosen(make(proxy=proxy))
    survey = debian(open_files=20_000, units={chosen.UNIT: RUNNING})
    files = chosen.files(Target(settings, "one", survey))
    (sandbox,) = (file for file in files.files if "20-ws-sandbox" in file.path)
    assert "LimitNOFILE=1024:20000" in sandbox.content
    assert any("sandbox" in note for note in files.notes)
    started = debian(
        open_files=20_000,
        units={chosen.UNIT: RUNNING},
        paths=has(chosen.started(Target(settings, "one", survey))),
    )
    assert not any(
        "sandbox" in note for note in chosen.files(Target(settings, "one", started)).notes
    )
    assert chosen.started(Target(settings, "one", survey)).path in chosen.asks(settings).paths


def test_folders_of_the_app(make: MakeSettings) -> None:
    files = supervisor.files(
        Target(make({"writable": ["/srv/a", "/mnt/b"]}), "one", Survey())
    ).files
    (text,) = (file.content for file in files if "20-" in file.path)
    assert "ReadWritePaths=/run /var/log/supervisor /var/log/ws /var/lib/ws /srv/a /mnt/b\n" in text
    assert "RequiresMountsFor=/srv/a /mnt/b\n" in text


@pytest.mark.parametrize("proxy", [Nginx(), HAProxy()])
def test_one_death_for_want_of_memory_is_not_everybodys(
    make: MakeSettings, debian: MakeSurvey, proxy: HAProxy | Nginx
) -> None:
    """By default systemd stops all processes of a unit when the kernel has killed one."""
    settings = make(proxy=proxy)
    sets = (
        supervisor.files(Target(settings, "one", debian())),
        proxies.chosen(settings).files(Target(settings, "one", debian())),
    )
    for found in sets:
        assert any("\nOOMPolicy=continue\n" in file.content for file in found.files), found.name
