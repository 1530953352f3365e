"""README.md and the docs: links lead somewhere, and what is named exists."""

import ast
import dataclasses
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import wsdeploy
from docs import terminal
from tests.unit.docs import pages
from wsapp.config import VARIABLES
from wsapp.metrics import Metrics, render
from wsapp.process import process_numbers
from wsdeploy.plan.host.limits import BACKLOG_LEAST
from wsdeploy.plan.host.survey import Survey
from wsdeploy.plan.target import Target
from wsdeploy.settings import App, SelfSigned, Settings, SettingsError, reference
from wsdeploy.settings.section import Section

README = pages.PAGES["README.md"]
SETTINGS = {
    section.__name__: {field.name for field in dataclasses.fields(section)}  # type: ignore[arg-type]
    for section in reference.sections(Settings)
}
# What the launcher and release.py set beside them.
OF_A_PROCESS = {"WS_APP"}

all_pages = pytest.mark.parametrize("page", pages.PAGES)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


def test_the_two_commands_of_set_up_are_there() -> None:
    assert pages.blocks(README, "sh").count("make sandbox\nmake test\n") == 1


@all_pages
def test_links_lead_somewhere(page: str) -> None:
    text = pages.prose(pages.PAGES[page])
    here = (pages.PROJECT / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        there = (here / path).resolve() if path else pages.PROJECT / page
        assert there.exists(), target
        if anchor:
            name = str(there.relative_to(pages.PROJECT))
            assert anchor in pages.anchors(pages.PAGES[name]), target


@pytest.mark.parametrize(
    "page", [each for each in pages.PAGES if each.startswith("docs/") and "benchmarks" not in each]
)
def test_every_page_says_where_to_go_on(page: str) -> None:
    assert "](" in "\n".join(pages.PAGES[page].splitlines()[-12:])


def test_pages_are_called_in_the_navigation_what_they_call_themselves() -> None:
    entries = re.findall(r"^ +- (.+): (.+\.md)$", (pages.PROJECT / "mkdocs.yml").read_text(), re.M)
    named = {f"docs/{path}": title for title, path in entries if f"docs/{path}" in pages.PAGES}
    assert len(named) > 30
    for page, title in named.items():
        heading = pages.PAGES[page].splitlines()[0].removeprefix("# ")
        # A decision has its number in its heading alone.
        assert page == "docs/index.md" or re.sub(r"^\d+\. ", "", heading) == title, page


@all_pages
def test_paragraphs_have_one_sentence_a_line(page: str) -> None:
    written = pages.PAGES[page].partition(reference.BEGIN)[0]
    for line in pages.prose(written).splitlines():
        if re.match(r"[A-Za-z`*\[]", line) and "benchmarks" not in page:
            assert not re.search(r"[a-z0-9)`\"]\. [A-Z]", line), line


@all_pages
def test_files_of_the_project_exist(page: str) -> None:
    """Paths in code spans that begin with a folder of the project."""
    folders = "bench|docs|templates|tests|wsapp|wsdeploy|wsdeploy_sandbox|wshost"
    for span in pages.spans(pages.PAGES[page]):
        if re.fullmatch(rf"({folders})/[\w./-]*", span):
            assert (pages.PROJECT / span).exists(), span


@all_pages
def test_settings_exist(page: str) -> None:
    sections = "|".join(SETTINGS)
    for section, name in re.findall(rf"\b({sections})\.([a-z_]+)\b", pages.PAGES[page]):
        assert name in SETTINGS[section], f"{section}.{name}"
    code = [*pages.blocks(pages.PAGES[page], "python"), *pages.spans(pages.PAGES[page])]
    for section, name in itertools.chain.from_iterable(map(keywords, code)):
        assert name in SETTINGS.get(section, {name}), f"{section}({name}=...)"


def keywords(code: str) -> Iterator[tuple[str, str | None]]:
    """Yield what is called and the name of a keyword, for each in a piece of Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):  # a span may be anything
        return
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            yield from ((call.func.id, each.arg) for each in call.keywords)


@all_pages
def test_variables_and_metrics_exist(page: str) -> None:
    metrics = set(re.findall(r"^# TYPE (\S+)", render(Metrics(), process_numbers()), re.MULTILINE))
    for name in re.findall(r"\bWS_[A-Z_]*[A-Z]\b", pages.PAGES[page]):
        assert name in {*VARIABLES, *OF_A_PROCESS}, name
    spans = " ".join(pages.spans(pages.PAGES[page]))
    for name in re.findall(r"\b(?:wsapp|process)_[a-z_]+\b", spans):
        assert name in metrics or name.startswith("process_request"), name


@all_pages
def test_python_in_pages_is_python(page: str) -> None:
    for code in pages.blocks(pages.PAGES[page], "python"):
        ast.parse(code)
        for names in re.findall(r"^from wsdeploy import (.+)$", code, re.MULTILINE):
            assert {name.strip() for name in names.split(",")} - {"*"} <= {*wsdeploy.__all__}


def test_the_inventory_of_ten_lines_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pages.PROJECT)
    (code,) = pages.blocks(README, "python")
    assert code in pages.blocks(pages.PAGES["docs/index.md"], "python")
    assert len(code.splitlines()) <= 10
    with pytest.raises(SettingsError) as refused:
        exec(code, {})  # noqa: S102 (our own text)
    # Who only copies it is told what to put in.
    assert {problem.setting for problem in refused.value.problems} == {"domain", "tls.email", "app"}
    names: dict[str, Any] = {}
    exec(code.replace("your-company", "a-company"), names)  # noqa: S102
    assert names["settings"].domain == "ws.a-company.com"
    assert len(names["app"][0]) == len(names["proxy"][0]) == 1


def snippets(page: str) -> list[str]:
    """Return the Python of a page that names what it imports, with a company's own name."""
    codes = pages.blocks(pages.PAGES[page], "python")
    return [code.replace("your-company", "a-company") for code in codes if "import" in code]


@pytest.mark.parametrize(
    ("page", "count"), [("docs/guides/kubernetes.md", 3), ("docs/guides/platforms.md", 5)]
)
def test_guides_to_other_places_show_what_is_accepted(
    page: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["wsdeploy", "check"])
    (tmp_path / "files").mkdir()
    (tmp_path / "files/app.py").write_text("")
    (tmp_path / "base.tar").write_bytes(b"\0" * 257 + b"ustar")
    assert len(snippets(page)) >= count
    for code in snippets(page):
        names: dict[str, Any] = {}
        exec(code, names)  # noqa: S102 (our own text)
        sections = [each for each in names.values() if isinstance(each, Section)]
        groups = [each for each in names.values() if isinstance(each, tuple)]
        assert sections or groups
        assert [problem for each in sections for problem in each.all_problems()] == []
        assert all(isinstance(each[-1], dict) for each in groups), code


@all_pages
def test_keywords_are_no_statements(page: str) -> None:
    """A call's `replicas=...,` on its own would be Python, and a tuple."""
    for code in pages.blocks(pages.PAGES[page], "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
                assert len(node.value.elts) > 1, ast.unparse(node)


def test_the_picture_of_a_deployment_is_drawn_from_its_recording() -> None:
    assets = pages.DOCS / "assets"
    picture = terminal.drawn((assets / "deploy.txt").read_text())
    assert picture == (assets / "deploy.svg").read_text(), "python docs/terminal.py draws it anew"
    assert ElementTree.fromstring(picture).tag.endswith("svg")  # noqa: S314 (our own text)


def test_a_picture_shows_what_has_changed_and_what_the_run_says_at_its_end() -> None:
    recording = """--> Connecting to hosts...
    [ws] Connected

--> Starting operation: App | Release
    [ws] Success

--> Starting operation: App | Old ports
    [ws] No changes

--> Results:
    Operation       Hosts   Success
    App | Release   1       1
    Grand total     2       1

--> Disconnecting from hosts...

served by 4 processes <now>
"""
    assert terminal.shortened(recording) == [
        "--> Connecting to hosts...",
        "    [ws] Connected",
        "--> App | Release",
        "    [ws] Success",
        "--> Results:",
        "    Operation       Hosts   Success",
        "    Grand total     2       1",
        "",
        "served by 4 processes <now>",
    ]
    assert "processes &lt;now&gt;" in terminal.drawn(recording)


def test_derived_numbers_are_the_derived_ones() -> None:
    page = pages.PAGES["docs/start/from-the-guides.md"]
    settings = Settings("ws.a-company.com", App("files/app.py"), SelfSigned())
    limits = Target(settings, "one", Survey()).limits
    assert f"{limits.worker_connections:,} connections per worker follow by default" in page
    assert f"{BACKLOG_LEAST:,} or more per process and on nginx" in page
    assert f"Ping interval and ping time-out, and {limits.idle_timeout - 40} s more" in page


def test_pages_that_the_source_names_exist() -> None:
    folders = ("wsdeploy", "wshost", "wsapp", "templates", "inventories", "bench", "tests")
    named = {
        page
        for folder in folders
        for path in (pages.PROJECT / folder).rglob("*")
        if path.suffix in (".py", ".j2", ".md")
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text())
    }
    assert len(named) > 8
    assert {page for page in named if page not in pages.PAGES} == set()


def test_messages_in_troubleshooting_are_said_by_a_program() -> None:
    """Each part between ellipses stands in the source, where it may be in several literals."""
    sources = ("wsdeploy", "wshost", "wsapp")
    text = "".join(
        path.read_text() for folder in sources for path in (pages.PROJECT / folder).rglob("*.py")
    )
    said = re.sub(r"\{[^{}\n]*\}", "…", re.sub(r'"\s*\n\s*f?"', "", text))
    parts = [
        part.strip()
        for block in pages.blocks(pages.PAGES["docs/operate/troubleshooting.md"], "text")
        for line in block.splitlines()
        if line != "No space left on device"  # the system's own
        for part in line.split("…")
        if part.strip()
    ]
    assert len(parts) > 25
    assert [part for part in parts if part not in said] == []
