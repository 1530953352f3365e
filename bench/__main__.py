"""All benchmarks in one run: nothing else should run on the machine meanwhile.

    python -m bench [--quick]

A whole run writes bench/results.json and the tables of docs/benchmarks.md; a quick one prints them.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

from bench import cases, results
from bench.contenders import install_caddy, start
from bench.host import deployed
from bench.report import tables

ROUNDS = {
    cases.messages: 5,
    cases.handshakes: 5,
    cases.memory: 3,
    cases.reloads: 3,
    cases.runs: 5,
}


def main() -> None:
    """Deploy, measure and report."""
    parser = argparse.ArgumentParser("python -m bench")
    parser.add_argument("--quick", action="store_true", help="one round, and no file is written")
    quick = parser.parse_args().quick
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {what}", flush=True)

    samples = results.Samples()
    say("deploy to two hosts")
    with tempfile.TemporaryDirectory() as folder, deployed() as hosts:
        caddy = install_caddy(Path(folder))
        contenders = list(itertools.chain(*(start(host, caddy) for host in hosts)))
        samples.notes |= results.describe(hosts)
        samples.notes["command"] = "make bench-quick" if quick else "make bench"
        for case, rounds in ROUNDS.items():
            say(case.__name__)
            case(contenders, samples, 1 if quick else rounds)
    say("done")
    if quick:
        print(tables(samples))
    else:
        samples.write(results.FILE)
        results.publish(tables(samples))


if __name__ == "__main__":
    main()
