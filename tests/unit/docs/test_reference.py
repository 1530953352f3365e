"""The reference: what is made from the source is up to date, and the rest is true."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from docs import tables
from wsapp.config import VARIABLES
from wsapp.metrics import Metrics, render
from wsapp.process import process_numbers
from wsdeploy.deploy import start
from wsdeploy.settings import reference
from wsdeploy.settings.app import OWN_VARIABLES
from wsdeploy.settings.platforms import PLATFORMS
from wsdeploy.settings.section import Section

PAGES = Path(__file__).parents[3] / "docs" / "reference"


def rows(page: str) -> list[list[str]]:
    """Return the cells of all tables of a page, without heads."""
    lines = re.findall(r"^\| (.+) \|$", (PAGES / page).read_text(), re.MULTILINE)
    cells = [re.split(r"(?<!\\) \| ", line) for line in lines]
    return [row for row in cells if not set("".join(row)) <= set("- ")]


class Colour(Section):
    """What it looks like."""

    shade: str
    """Any shade,
    or | none."""
    depth: int = 20_000
    undocumented: bool = True


class Paint(Colour):
    """A colour that can be bought."""

    price: float | None = None
    """What it costs."""


@pytest.mark.parametrize("page", tables.TABLES)
def test_what_is_made_from_the_source_is_up_to_date(page: str) -> None:
    text = (tables.PAGES / page).read_text()
    assert text == tables.written(page, text), f"docs/{page} is stale: make reference"


@pytest.mark.parametrize("section", [*reference.every(), *PLATFORMS])
def test_every_setting_has_a_docstring(section: type[Any]) -> None:
    fields = {field.name for field in dataclasses.fields(section)}
    assert fields - reference.docstrings(section).keys() == set()


def test_every_section_that_users_can_write_is_there() -> None:
    import wsdeploy  # noqa: PLC0415 - the name is what the test is about

    public = {getattr(wsdeploy, name) for name in wsdeploy.__all__}
    sections = {c for c in public if isinstance(c, type) and issubclass(c, Section)}
    assert sections - {*reference.every(), *PLATFORMS} == set()


def test_docstrings_are_read_from_the_class_and_its_bases() -> None:
    assert reference.docstrings(Paint) == {
        "shade": "Any shade, or | none.",
        "price": "What it costs.",
    }


def test_a_row_for_each_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "every", lambda: [Paint])
    assert reference.markdown() == (
        "## `Paint`\n\nA colour that can be bought.\n\n"
        "| Setting | Type or values | Default | What it does |\n"
        "| --- | --- | --- | --- |\n"
        "| `shade` | a string | required | Any shade, or \\| none. |\n"
        "| `depth` | a whole number | `20_000` |  |\n"
        "| `undocumented` | True or False | `True` |  |\n"
        "| `price` | a number or `None` | `None` | What it costs. |\n"
    )


def test_only_what_is_between_the_markers_is_written() -> None:
    text = f"before\n{reference.BEGIN}\nstale\n{reference.END}\nafter\n"
    new = reference.written(text, "fresh\n")
    assert new == f"before\n{reference.BEGIN}\n\nfresh\n\n{reference.END}\nafter\n"
    assert reference.written(new, "fresh\n") == new


@pytest.mark.parametrize("text", ["", reference.BEGIN, f"{reference.END} {reference.BEGIN}"])
def test_a_document_without_markers_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="it needs"):
        reference.written(text, "")


def test_all_pages_are_written_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for page in tables.TABLES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text(f"{reference.BEGIN}stale{reference.END}")
    monkeypatch.setattr(tables, "PAGES", tmp_path)
    # Links are to pages beside the real ones.
    monkeypatch.setattr(tables, "_link", lambda match: match.group())
    tables.main()
    for page in tables.TABLES:
        text = (tmp_path / page).read_text()
        assert "stale" not in text
        assert text.count("\n| ") > 5


def test_the_settings_name_pages_by_links() -> None:
    assert "docs/" not in tables.settings()
    assert "[Hosts](../operate/hosts.md)" in tables.settings()


def test_every_metric_has_a_row() -> None:
    said = render(Metrics(), process_numbers())
    names = {name for name, *_ in rows("metrics.md")}
    for name in re.findall(r"^# TYPE (\S+)", said, re.MULTILINE):
        assert f"`{name}`" in names


def test_labels_of_metrics_are_the_ones_there_are() -> None:
    metrics = Metrics(info=dict.fromkeys(("process", "group", "loop", "websockets", "python"), "x"))
    metrics.count_handshake("101")
    metrics.count_close("1000")
    labels = set(re.findall(r"[{,](\w+)=", render(metrics, process_numbers())))
    text = (PAGES / "metrics.md").read_text()
    assert {name for name in labels if f"`{name}`" not in text} == set()


def test_variables_that_are_free_are_named() -> None:
    text = (PAGES / "environment.md").read_text()
    (line,) = re.findall(r"^`App.env` may have (.+)\.$", text, re.MULTILINE)
    free = {name for name in VARIABLES if not OWN_VARIABLES.fullmatch(name)}
    assert set(re.findall(r"`(\w+)`", line)) == free - {
        "PORT",  # the app's own, where it is told to listen elsewhere
        "WS_MOVE_FILE",  # from the launcher
        "WS_ORIGINS",
        "WS_ORIGIN_REQUIRED",
    }


def test_exit_codes_are_the_ones_that_programs_end_with() -> None:
    codes = {(program, code) for program, code, *_ in rows("exit-codes.md")[1:]}
    source = {
        "`sandbox`": "wsdeploy_sandbox/cli.py",
        "an app with `wsapp`": "wsapp/server.py",
    }
    for program, file in source.items():
        text = (PAGES.parents[1] / file).read_text()
        for code in re.findall(r"sys\.exit\((\d+)\)", text):
            assert (program, code) in codes, (program, code)
    assert ("`pyinfra`", str(start.INTERRUPTED)) in codes
    assert ("`pytest tests/hosts`", str(int(pytest.ExitCode.USAGE_ERROR))) in codes
    assert ("`pytest tests/hosts`", str(int(pytest.ExitCode.TESTS_FAILED))) in codes
