"""The command line of each part."""

from __future__ import annotations

import argparse
from typing import Protocol

from bench.traffic.host import SUITES


class Main(Protocol):
    """The main function of a part."""

    def __call__(self, quick: bool, proxies: tuple[str, ...]) -> None:
        """Measure with each of these proxies, and write the results."""


def run(main: Main) -> None:
    """Run a part as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--proxy", action="append", choices=SUITES, help="only with this one")
    arguments = parser.parse_args()
    main(arguments.quick, tuple(arguments.proxy or SUITES))
