"""How far a host is from having a set of files."""

import dataclasses
import hashlib
from typing import Any

from wsdeploy.plan.host.files import File, FileSet
from wsdeploy.plan.host.survey import PathState, Survey

ONE, TWO = File("/etc/one", "1\n"), File("/etc/two", "2\n", 0o640, "root", "ws", secret=True)
SET = FileSet("demo", (ONE, TWO), activate=(("reload",),), absent=("/etc/gone",))


def on_host(file: File, **changes: Any) -> PathState:
    entry = PathState(
        "file",
        file.mode,
        file.owner,
        file.group,
        sha256=hashlib.sha256(file.content.encode()).hexdigest(),
    )
    return dataclasses.replace(entry, **changes)


GOOD = {file.path: on_host(file) for file in (*SET.files, SET.marker)}


def differences(paths: dict[str, PathState], files: FileSet = SET) -> list[str]:
    return list(files.differences(Survey(paths=paths)))


def test_none() -> None:
    assert differences(GOOD) == []


def test_one_file_differs() -> None:
    for change in (
        {"mode": 0o600},
        {"owner": "ws"},
        {"group": "root"},
        {"sha256": "0" * 64},
        {"kind": "link", "target": "/etc/one"},
        {"kind": "directory", "sha256": None},
    ):
        assert differences(GOOD | {TWO.path: on_host(TWO, **change)}) == [TWO.path]


def test_one_file_is_missing() -> None:
    for path in (ONE.path, TWO.path):
        assert differences({p: e for p, e in GOOD.items() if p != path}) == [path]


def test_a_path_that_must_not_be_there() -> None:
    (found,) = differences(GOOD | {"/etc/gone": on_host(ONE)})
    assert found.startswith("/etc/gone")


def test_a_missing_marker() -> None:
    (found,) = differences({p: e for p, e in GOOD.items() if p != SET.marker.path})
    assert "demo" in found


def test_everything_on_a_bare_host() -> None:
    assert len(differences({})) == 3


def test_the_marker_stands_for_all_of_the_set() -> None:
    for change in (
        {"activate": (("restart",),)},
        {"validate": (("check",),)},
        {"verify": (("check",),)},
        {"absent": ()},
        {"files": (ONE,)},
        {"files": (TWO, ONE)},
    ):
        other = dataclasses.replace(SET, **change)
        assert other.digest != SET.digest
        assert differences(GOOD, other)


def test_what_a_host_does_not_allow_is_no_part_of_a_set() -> None:
    assert dataclasses.replace(SET, notes=("it has little memory",)).digest == SET.digest


def test_a_set_asks_for_all_that_it_compares() -> None:
    asked = set(SET.request().paths)
    assert asked == {ONE.path, TWO.path, "/etc/gone", SET.marker.path}


def test_whether_a_content_is_shown_is_no_difference() -> None:
    shown = dataclasses.replace(TWO, secret=False)
    assert dataclasses.replace(SET, files=(ONE, shown)).digest == SET.digest
