"""What mkdocs does beside building pages: take in files from the top of the repository."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "RELEASE.md": "project/releasing.md",
    "SECURITY.md": "project/security.md",
}
"""Files that GitHub expects at the top, and the pages that they are on the site."""

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the files at the top as pages."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead where they lead in the repository; those to no page are words."""
    source = next((name for name, each in PAGES.items() if each == page.file.src_uri), None)
    place = Path(source or f"docs/{page.file.src_uri}").parent

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match.group(1), match.group(2), match.group(3) or ""
        path = os.path.normpath(place / target)
        inside = PAGES.get(path) or path.removeprefix("docs/")
        if inside == path:
            return text
        return f"[{text}]({os.path.relpath(inside, Path(page.file.src_uri).parent)}{anchor})"

    return LINK.sub(link, markdown)
