"""What hosts tell of what serves and of their progress, of whatever shape: checked once. Pure."""

from __future__ import annotations

from typing import Any

from wshost.requests import Commit, Drain, Gate, Progress, Serving

MOST = 1_000_000_000
"""No number of clients or seconds is as high; times of that many years can't be written."""


def commit(found: object) -> Commit | None:
    """Return a commit, or None for what is none."""
    match found:
        case {"id": str(short), "subject": str(subject), "changed": bool(changed)}:
            return {"id": short, "subject": subject, "changed": changed}
    return None


def serving(found: object) -> Serving | None:
    """Return what serves, or None for what has another shape."""
    match found:
        case {"generation": str(generation), "release": str(release)}:
            kept = commit(found.get("commit"))  # type: ignore[attr-defined]
            return {"generation": generation, "release": release, "commit": kept}
    return None


def progress(found: object) -> Progress:
    """Return a piece of news; what has another shape is left out."""
    news: Progress = {}
    if not isinstance(found, dict):
        return news
    if numbers := _numbers(found.get("gate"), "healthy", "of", "seconds"):
        healthy, of, seconds = numbers
        gate: Gate = {"healthy": int(healthy), "of": int(of), "seconds": seconds}
        news["gate"] = gate
    if found.get("reached") is True:
        news["reached"] = True
    if numbers := _numbers(found.get("drain"), "left", "of", "seconds", "at_most"):
        left, of, seconds, at_most = numbers
        drain: Drain = {"left": int(left), "of": int(of), "seconds": seconds, "at_most": at_most}
        news["drain"] = drain
    if served := serving(found.get("served")):
        news["served"] = served
    if serves := serving(found.get("serves")):
        news["serves"] = serves
    if isinstance(said := found.get("said"), str):
        news["said"] = said
    return news


def _numbers(found: Any, *keys: str) -> list[float]:
    """Return the numbers that something has by these keys; none unless it has them all."""
    values = [found.get(key) for key in keys] if isinstance(found, dict) else []
    good = [value for value in values if isinstance(value, int | float) and 0 <= value < MOST]
    return good if len(good) == len(values) else []
