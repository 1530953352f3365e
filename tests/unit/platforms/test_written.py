"""Files in a project: written once, and nobody's work is lost."""

import json

from wsdeploy.platforms import written

WANTED = {"Procfile": "web: new\n", "app.json": "{}\n"}


def after(texts: dict[str, str]) -> dict[str, str]:
    """Return a project in which these files were written."""
    return {**texts, written.NOTE: written.note(texts)}


def test_a_new_project_gets_all_files_and_the_note_last() -> None:
    assert [*written.changes(WANTED, {})] == ["Procfile", "app.json", written.NOTE]
    assert [*written.problems(WANTED, {})] == []


def test_a_second_time_there_is_nothing_to_write() -> None:
    assert written.changes(WANTED, after(WANTED)) == {}
    assert written.stale(WANTED, after(WANTED)) == []


def test_a_file_that_nobody_has_touched_is_replaced() -> None:
    found = after({**WANTED, "Procfile": "web: old\n"})
    assert [*written.problems(WANTED, found)] == []
    assert [*written.changes(WANTED, found)] == ["Procfile", written.NOTE]


def test_a_file_that_somebody_has_edited_is_refused() -> None:
    found = {**after(WANTED), "Procfile": "web: mine\n"}
    assert [str(each) for each in written.problems(WANTED, found)] == [
        "Procfile: somebody has changed it since wsdeploy wrote it; make that change in the "
        "inventory, then delete the file and run again"
    ]


def test_a_file_that_was_there_before_is_refused() -> None:
    assert [str(each) for each in written.problems(WANTED, {"Procfile": "web: mine\n"})] == [
        "Procfile: it is there already, and wsdeploy did not write it; take what you need of it "
        "into the inventory, then delete the file and run again"
    ]


def test_an_edit_that_says_what_is_wanted_is_as_good() -> None:
    found = {**after({**WANTED, "Procfile": "web: old\n"}), "Procfile": WANTED["Procfile"]}
    assert [*written.problems(WANTED, found)] == []
    assert [*written.changes(WANTED, found)] == [written.NOTE]


def test_what_is_not_wanted_any_more_goes_unless_somebody_has_edited_it() -> None:
    found = after({**WANTED, "fly.toml": "x = 1\n", "render.yaml": "x: 1\n"})
    found["render.yaml"] = "x: mine\n"
    assert written.stale(WANTED, found) == ["fly.toml"]


def test_a_note_that_is_none_knows_no_file() -> None:
    for text in (None, "", "no json", json.dumps(["a list"])):
        assert written.noted(text) == {}


def test_a_note_knows_nothing_outside_of_the_project() -> None:
    mine = written.digest("mine")
    paths = ["/etc/passwd", "../mine", "a/../../mine", "", "a\0b", "fly.toml"]
    assert written.noted(json.dumps(dict.fromkeys(paths, mine))) == {"fly.toml": mine}


def test_ends_of_lines_are_nobodys_work() -> None:
    found = after({**WANTED, "Procfile": "web: old\n"})
    found["Procfile"] = "web: old\r\n"
    assert [*written.problems(WANTED, found)] == []
