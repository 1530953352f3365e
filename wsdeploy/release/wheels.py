"""Say in one line why dependencies can't be installed for a host."""

from __future__ import annotations

import re

_NO_WHEEL = re.compile(r"(\S+)==(\S+) has no (?:usable wheels|wheels with a matching)")
_OTHER_PYTHON = re.compile(
    r"the requested Python version \(\S+\) does not satisfy Python(\S+) and (\S+)==(\S+) depends"
)


def explain(stderr: str, python: str, platform: str) -> str | None:
    """Return uv's complaint about a package that a host can't run, or None if it is another.

    python: the host's version. platform: as uv names it, such as x86_64-manylinux_2_36.
    """
    # uv breaks long lines of an explanation.
    said = " ".join(stderr.split())
    if found := _NO_WHEEL.search(said):
        name, version = found.groups()
        machine, _, glibc = platform.partition("-manylinux_")
        return (
            f"no wheel of {name} {version} for Python {python} on {machine} Linux "
            f"(glibc {glibc.replace('_', '.')}); pin a version that has one, or host your own wheel"
        )
    if found := _OTHER_PYTHON.search(said):
        wanted, name, version = found.groups()
        return (
            f"{name} {version} needs Python {wanted}, and the host has {python}; "
            "pin a version that runs on it, or choose another Debian release"
        )
    return None
