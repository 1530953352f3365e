"""Draw the picture of a deployment, docs/assets/deploy.svg, from a recording.

python docs/terminal.py

The recording, docs/assets/deploy.txt, is what a run has written, word by word. A new one is made
with a throwaway host that has nothing yet:

sandbox down ws; pyinfra -y inventories/sandbox.py deploy.py >docs/assets/deploy.txt 2>&1

Operations that changed nothing are left out of the picture, and the table of results but for its
last line.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"

COMMAND = "pyinfra inventories/sandbox.py deploy.py"
"""As one types it; a recording has the program's path and options that spare a question."""

WIDTH, LINE, COLUMN, TOP, SIDE = 915, 19, 7.85, 46, 18
"""Pixels: of the picture, from line to line, of a letter, above the text, and beside it."""

DOTS = ("#ff5f57", "#febc2e", "#28c840")
COLOURS = {"step": "#7aa2f7", "good": "#9ece6a", "bad": "#f7768e", "host": "#bb9af7"}
WORDS = {
    r"^(-->)": "step",
    r"(\[[\w.-]+\])": "host",
    r"\b(Success|Connected)\b": "good",
    r"\b(Error:.*)$": "bad",
}
"""What has which colour in a line."""


def main() -> None:
    """Draw the picture anew."""
    (ASSETS / "deploy.svg").write_text(drawn((ASSETS / "deploy.txt").read_text()))


def drawn(recording: str) -> str:
    """Return the picture of a recording as SVG."""
    lines = [f"$ {COMMAND}", *shortened(recording)]
    height = TOP + LINE * len(lines) + SIDE
    texts = "\n".join(_text(number, line) for number, line in enumerate(lines) if line)
    dots = "".join(
        f'<circle cx="{20 + 18 * number}" cy="18" r="5.5" fill="{colour}"/>'
        for number, colour in enumerate(DOTS)
    )
    colours = "".join(f".{name}{{fill:{colour}}}" for name, colour in COLOURS.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">\n'
        f"<title>A first deployment, in a terminal</title>\n"
        f"<style>text{{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
        f"monospace;fill:#c0caf5;white-space:pre}}{colours}</style>\n"
        f'<rect width="{WIDTH}" height="{height}" rx="9" fill="#1a1b26"/>\n'
        f"{dots}\n{texts}\n</svg>\n"
    )


def shortened(recording: str) -> list[str]:
    """Return the lines of a run that changed something, and what it says at its end."""
    run = recording.partition("--> Starting operation")
    found = list(_operations(run[1] + run[2].partition("--> Results:")[0]))
    result = re.search(r"^ *(Grand total.*?) *$", recording, re.MULTILINE)
    head = re.search(r"^ *(Operation .*?) *$", recording, re.MULTILINE)
    rest = recording.partition("--> Disconnecting from hosts...")[2].splitlines()
    connected = re.findall(r"^ *\[\S+\] Connected$", recording, re.MULTILINE)[:1]
    total = [f"    {match.group(1)}" for match in (head, result) if match]
    said = [line.rstrip() for line in rest if line.strip()]
    return ["--> Connecting to hosts...", *connected, *found, "--> Results:", *total, "", *said]


def _operations(text: str) -> Iterator[str]:
    """Yield a line for each operation that changed something, and what it said."""
    for part in re.split(r"^--> Starting operation: ", text, flags=re.MULTILINE)[1:]:
        name, *lines = (line.rstrip() for line in part.splitlines() if line.strip())
        if not all(line.endswith("No changes") for line in lines):
            yield f"--> {name}"
            yield from lines


def _text(number: int, line: str) -> str:
    place = f'x="{SIDE}" y="{TOP + LINE * number + 13}"'
    return f'<text {place} xml:space="preserve">{_coloured(line[: _most()])}</text>'


def _most() -> int:
    return int((WIDTH - 2 * SIDE) / COLUMN)


def _coloured(line: str) -> str:
    text = html.escape(line, quote=False)
    for pattern, colour in WORDS.items():
        text = re.sub(
            pattern.replace("-->", "--&gt;"), rf'<tspan class="{colour}">\1</tspan>', text
        )
    return text


if __name__ == "__main__":
    main()
