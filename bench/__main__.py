"""All benchmarks, one after the other: nothing else should run on the machine meanwhile.

python -m bench [--quick]
"""

from __future__ import annotations

import importlib
import sys
import time

from bench.traffic import host

PARTS = (
    "bench.deploy.runs",
    "bench.clients.proof",
    "bench.traffic.held",
    "bench.traffic.handshakes",
    "bench.traffic.messages",
    "bench.traffic.memory",
    "bench.deploys.redeploy",
    "bench.deploys.storm",
)


def main() -> None:
    """Run each part, and say how long it took."""
    try:
        for part in PARTS:
            began = time.monotonic()
            importlib.import_module(part).main("--quick" in sys.argv[1:])
            print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
    finally:
        host.down()


if __name__ == "__main__":
    main()
