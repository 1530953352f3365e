"""Words of others, such as an app's, as they can be shown to people."""

from __future__ import annotations

MOST = 80
"""Characters of a word that a line has room for."""


def spelt(word: str, most: int = MOST) -> str:
    """Return a word in which nothing can move a terminal's cursor, or write its clipboard.

    What is no text to read is spelt, as in a string of Python's. most: characters that are kept.
    """
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in word)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
