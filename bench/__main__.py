"""All benchmarks, one after the other: nothing else should run on the machine meanwhile.

python -m bench [--quick]
"""

from __future__ import annotations

import importlib
import sys
import time

PARTS = (
    "bench.deploy.runs",
    "bench.traffic.__main__",
    "bench.deploys.__main__",
)


def main() -> None:
    """Run each part, and say how long it took."""
    for part in PARTS:
        began = time.monotonic()
        importlib.import_module(part).main("--quick" in sys.argv[1:])
        print(f"{part.removesuffix('.__main__')}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
