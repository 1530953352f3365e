"""Samples as they come in, by name, for a result file."""

from __future__ import annotations

from collections.abc import Mapping

from bench import results
from bench.traffic.host import Host


class Samples:
    """Measurements of one part, as they come in.

    suite: the folder of results that they belong to.
    """

    def __init__(self, suite: str = "traffic") -> None:
        self.suite = suite
        self.found: dict[str, results.Measurement] = {}
        self.notes: dict[str, str | float | int] = {}

    def add(self, name: str, unit: str, value: float) -> None:
        """Take one sample of a measurement."""
        self.found.setdefault(name, results.Measurement(unit, [])).samples.append(value)

    def write(self, part: str, host: Host, quick: bool) -> None:
        """Write the result of a part on a host."""
        results.write(
            self.suite,
            f"{part}-{host.proxy}",
            self.found,
            self.notes,
            quick=quick,
            versions=versions(host),
        )


def versions(host: Host) -> Mapping[str, str]:
    """Return the versions of what runs on a host."""
    packages = host.proxy, "supervisor", "python3", "openssl"
    listed = host.shell(f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {' '.join(packages)}")
    return dict(line.split(" ", 1) for line in listed.splitlines())


def turns(names: list[str], number: int) -> list[str]:
    """Return names in another order for each round: another one begins."""
    first = number % len(names)
    return names[first:] + names[:first]
