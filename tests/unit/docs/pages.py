"""The pages that users read, and what stands in them."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[3]
DOCS = PROJECT / "docs"

PAGES = {
    str(path.relative_to(PROJECT)): path.read_text()
    for path in (*sorted(PROJECT.glob("*.md")), *sorted(DOCS.rglob("*.md")))
}
"""Text by path."""

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a page that are in a language."""
    return [textwrap.dedent(code) for _, name, code in FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """Return the code spans of a page."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(text))


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command in a page's shell blocks, code spans and workflows."""
    for block in blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield words(line)
    for block in blocks(text, "yaml"):
        for line in block.splitlines():
            yield words(line.strip().removeprefix("- ").removeprefix("run: "))
    for span in spans(text):
        if re.match(r"(make|pyinfra|pytest|sandbox|python|uv|uvx|wsdeploy) [\w./-]", span):
            yield words(span)


def steps(workflow: str) -> Iterator[list[str]]:
    """Yield the words of each one-line step of a workflow."""
    for line in re.findall(r"^\s+(?:- )?run: ([\w.].+)$", workflow, re.MULTILINE):
        yield words(line)


def words(line: str) -> list[str]:
    """Return the words of a line of shell, or of the beginning that can be split."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quotation of several lines
        return line.split()


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, that the site and GitHub agree on."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", heading.encode("ascii", "ignore").decode()).strip().lower()
        if (anchor := re.sub(r"\s", "-", plain)) == re.sub(r"[-\s]+", "-", plain):
            found.add(anchor)
    return found
