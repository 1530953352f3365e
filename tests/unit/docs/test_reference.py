"""The tables of settings in README.md, made from the source."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from wsdeploy.settings import Settings, reference
from wsdeploy.settings.section import Section

README = Path(__file__).parents[3] / "README.md"


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


def test_readme_is_up_to_date() -> None:
    text = README.read_text()
    assert text == reference.written(text), (
        "README.md is stale: python -m wsdeploy.settings.reference --write README.md"
    )


@pytest.mark.parametrize("section", reference.sections(Settings))
def test_every_setting_has_a_docstring(section: type[Any]) -> None:
    fields = {field.name for field in dataclasses.fields(section)}
    assert fields - reference.docstrings(section).keys() == set()


def test_every_section_that_users_can_write_is_there() -> None:
    import wsdeploy  # noqa: PLC0415 - the name is what the test is about

    public = {getattr(wsdeploy, name) for name in wsdeploy.__all__}
    sections = {c for c in public if isinstance(c, type) and issubclass(c, Section)}
    assert sections - set(reference.sections(Settings)) == set()


def test_docstrings_are_read_from_the_class_and_its_bases() -> None:
    assert reference.docstrings(Paint) == {
        "shade": "Any shade, or | none.",
        "price": "What it costs.",
    }


def test_a_row_for_each_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "Settings", Paint)
    assert reference.markdown() == (
        "#### `Paint`\n\nA colour that can be bought.\n\n"
        "| Setting | Type or values | Default | What it does |\n"
        "| --- | --- | --- | --- |\n"
        "| `shade` | a string | required | Any shade, or \\| none. |\n"
        "| `depth` | a whole number | `20_000` |  |\n"
        "| `undocumented` | True or False | `True` |  |\n"
        "| `price` | a number or `None` | `None` | What it costs. |\n"
    )


def test_only_what_is_between_the_markers_is_written() -> None:
    text = f"before\n{reference.BEGIN}\nstale\n{reference.END}\nafter\n"
    new = reference.written(text)
    assert new.startswith(f"before\n{reference.BEGIN}\n\n#### `Settings`")
    assert new.endswith(f"\n\n{reference.END}\nafter\n")
    assert "stale" not in new
    assert reference.written(new) == new


@pytest.mark.parametrize("text", ["", reference.BEGIN, f"{reference.END} {reference.BEGIN}"])
def test_a_document_without_markers_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="it needs"):
        reference.written(text)


def test_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "doc.md"
    file.write_text(f"{reference.BEGIN}{reference.END}")
    monkeypatch.setattr("sys.argv", ["reference", "--write", str(file)])
    reference.main()
    assert reference.markdown() in file.read_text()
    monkeypatch.setattr("sys.argv", ["reference"])
    reference.main()
    assert capsys.readouterr().out == reference.markdown()
