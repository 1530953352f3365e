"""The survey's answer, read; and requests, added up."""

from typing import Any

import pytest

from wsdeploy.plan.host.survey import PathState, Process, Request, Survey

ANSWER = {
    "system": {"id": "debian", "version": "12", "python": "3.11"},
    "limits": {"open_files": 1024},
    "packages": {"nginx": "1.22.1"},
    "users": ["ws"],
    "groups": [],
    "units": {},
    "sysctl": {"a": None},
    "paths": {"/run/ws": {"kind": "directory", "mode": 493, "owner": "root", "group": "root"}},
    "certificates": {},
    "processes": [{"group": "g", "name": "n", "statename": "RUNNING", "pid": 1, "start": 2}],
}


def test_an_answer() -> None:
    survey = Survey.from_json(ANSWER)
    assert survey.users == ("ws",)
    assert survey.paths == {"/run/ws": PathState("directory", 0o755, "root", "root")}
    assert survey.processes == (Process("g", "n", "RUNNING", 1, 2),)


def test_a_bare_hosts_answer() -> None:
    survey = Survey.from_json({"bare": True, "system": {"id": "debian", "version": "13"}})
    assert survey.bare is True
    assert survey.processes is None
    assert survey.python == "3.13"


def test_python() -> None:
    for system, python in (
        ({}, "3.11"),
        ({"version": "12"}, "3.11"),
        ({"version": "13"}, "3.13"),
        ({"version": "12", "python": "3.12"}, "3.12"),
    ):
        assert Survey(system=system).python == python


@pytest.mark.parametrize("answer", [{"unknown": 1}, {"paths": {"/": {"colour": "red"}}}])
def test_what_is_no_answer(answer: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Survey.from_json(answer)


def test_requests_add_up_without_repetition() -> None:
    one = Request(packages=("a", "b"), paths=("/x",))
    two = Request(packages=("b", "c"), users=("u",))
    assert one + two == Request(packages=("a", "b", "c"), paths=("/x",), users=("u",))
    assert (one + two).to_json()["packages"] == ["a", "b", "c"]
