"""Releases that a bundle has brought: on a machine that sets itself up, nothing is built."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TypedDict

FOLDER = "WSDEPLOY_BUNDLE"
"""The variable with the folder of the bundle that runs; there is none where somebody deploys."""
FILE = "releases.json"
"""In that folder: which releases there are, by `kind`."""


class Known(TypedDict):
    """A release, without its files: they are in the cache of releases."""

    id: str
    main: str


def kind(python: str, platform: str) -> str:
    """Return what a release is found by."""
    return f"{python} {platform}"


def here() -> bool:
    """Tell whether this runs from a bundle, with neither the app's code nor what builds it."""
    return FOLDER in os.environ


def find(python: str, platform: str) -> Known | None:
    """Return the release for a kind of machine, or None if the bundle has none for it."""
    listed = json.loads(Path(os.environ[FOLDER], FILE).read_text())
    found: Known | None = listed.get(kind(python, platform))
    return found
