"""Measure first runs, and runs that find nothing to do, for one host and for many.

    python -m bench.deploy.runs [--quick] [PART…]

Parts are `one`, `far`, `first`, `five` and `twenty`; without a name all of them, but only `one` in
the quick run.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import wsdeploy_sandbox as sandbox
from bench import results
from bench.deploy import hosts
from bench.deploy.contenders import LOCK, Contenders, pinned
from bench.deploy.hosts import Target
from bench.deploy.relay import Relay, Traffic
from bench.results import Measurement

SUITE = "deploy"
ADDED = 0.05
"""Seconds that the relay adds to a round trip: another continent's coast."""
ALL = ("one", "far", "first", "five", "twenty")
QUICK = ("one",)
OURS, TRUE, ANSIBLE, SCRIPT = "wsdeploy", "pyinfra exec true", "ansible", "script"
UNWATCHED = "wsdeploy, healthy_for=0"
"""A first run without the seconds for which new processes are watched before clients come: no
other contender watches them."""

Sample = Callable[[], float]


class Bench:
    """One run of the benchmark: its contenders, and the hosts that it has brought up."""

    def __init__(self, contenders: Contenders, quick: bool) -> None:
        self.contenders = contenders
        self.quick = quick
        self.rounds = 2 if quick else 5
        self._deployed: dict[str, list[Target]] = {}
        self._up: set[str] = set()

    def close(self) -> None:
        """Delete the hosts."""
        if self._up:
            sandbox.down(*sorted(self._up))

    def one(self) -> None:
        """Measure runs that find nothing to do, on one host."""
        self._nothing("nothing-1", 1)

    def five(self) -> None:
        """Measure five hosts: the first run once, then runs that find nothing to do."""
        self._nothing("nothing-5", 5)

    def twenty(self) -> None:
        """Measure the same on twenty hosts."""
        self._nothing("nothing-20", 20)

    def first(self) -> None:
        """Measure first runs on one host, fresh each time; the boot is not part of it."""
        # Caches on the way to the mirror have what all will download, and Python its bytecode.
        self._deploy(1, (OURS, ANSIBLE))
        runs: Mapping[str, Callable[[Sequence[Target]], float]] = {
            OURS: self.contenders.ours,
            UNWATCHED: lambda targets: self.contenders.ours(targets, more=", healthy_for=0"),
            SCRIPT: self.contenders.script,
            ANSIBLE: self.contenders.ansible,
        }
        self._write(
            "first-1",
            {
                name: lambda run=run: run(self._fresh("first", 1))  # type: ignore[misc]
                for name, run in runs.items()
            },
            {"hosts": 1},
        )

    def far(self) -> None:
        """Measure runs that find nothing to do, near and with a longer round trip."""
        deployed = self._deploy(1, (OURS, ANSIBLE))
        seen: dict[str, list[Traffic]] = {}
        with (
            self._relayed(deployed[OURS], 0) as (near, traffic),
            self._relayed(deployed[OURS], ADDED) as (far, _),
            self._relayed(deployed[ANSIBLE], 0) as (near_ansible, ansible_traffic),
            self._relayed(deployed[ANSIBLE], ADDED) as (far_ansible, _),
        ):
            samples = {
                OURS: _counted(
                    lambda: self.contenders.ours(near), traffic, seen.setdefault(OURS, [])
                ),
                TRUE: _counted(
                    lambda: self.contenders.true(near), traffic, seen.setdefault(TRUE, [])
                ),
                ANSIBLE: _counted(
                    lambda: self.contenders.ansible(near_ansible),
                    ansible_traffic,
                    seen.setdefault(ANSIBLE, []),
                ),
                f"{OURS}, far": lambda: self.contenders.ours(far),
                f"{TRUE}, far": lambda: self.contenders.true(far),
                f"{ANSIBLE}, far": lambda: self.contenders.ansible(far_ansible),
            }
            self._write("far", samples, {"hosts": 1, "added round trip, ms": ADDED * 1000}, seen)

    def _nothing(self, part: str, number: int) -> None:
        deployed = self._deploy(number, (OURS, ANSIBLE))
        samples = {
            OURS: lambda: self.contenders.ours(deployed[OURS]),
            TRUE: lambda: self.contenders.true(deployed[OURS]),
            ANSIBLE: lambda: self.contenders.ansible(deployed[ANSIBLE]),
        }
        self._write(part, samples, {"hosts": number})

    def _deploy(self, number: int, names: Sequence[str]) -> dict[str, list[Target]]:
        """Return hosts that each contender has deployed to, its own; measure it if they are many.

        One measurement of many first runs is all that there is.
        """
        runs = {OURS: self.contenders.ours, ANSIBLE: self.contenders.ansible}
        seconds = {}
        for name in names:
            if len(self._deployed.get(name, ())) != number:
                self._deployed[name] = self._fresh(name, number)
                seconds[name] = runs[name](self._deployed[name])
        if number > 1 and seconds:
            # As many fresh hosts again, which go at once.
            scripted = self._fresh("script", number)
            seconds[SCRIPT] = self.contenders.script(scripted)
            self._down([target.host.name for target in scripted])
            measured = {name: Measurement("s", [taken]) for name, taken in seconds.items()}
            self._record(f"first-{number}", measured, {"hosts": number, "rounds": 1})
        return self._deployed

    def _fresh(self, purpose: str, number: int) -> list[Target]:
        names = hosts.names(purpose, number)
        self._up.update(names)
        return hosts.fresh(names)

    def _down(self, names: Sequence[str]) -> None:
        sandbox.down(*names)
        self._up.difference_update(names)

    @contextlib.contextmanager
    def _relayed(
        self, targets: Sequence[Target], delay: float
    ) -> Iterator[tuple[list[Target], Relay]]:
        with (
            Relay([(target.address, target.port) for target in targets], delay) as relay,
            tempfile.NamedTemporaryFile(dir=self.contenders.folder) as known_hosts,
        ):
            yield hosts.relayed(targets, relay.ports, Path(known_hosts.name)), relay

    def _write(
        self,
        part: str,
        samples: Mapping[str, Sample],
        notes: Mapping[str, str | float | int],
        traffic: Mapping[str, Sequence[Traffic]] | None = None,
    ) -> None:
        found = results.alternately(samples, self.rounds)
        measured = {name: Measurement("s", taken) for name, taken in found.items()}
        for name, seen in (traffic or {}).items():
            for what in ("connections", "turns", "sent", "received"):
                unit = what if what in ("connections", "turns") else f"bytes {what}"
                counts = [float(getattr(each, what)) for each in seen]
                measured[f"{name}: {what}"] = Measurement(unit, counts)
        self._record(part, measured, notes)

    def _record(
        self,
        part: str,
        measured: Mapping[str, Measurement],
        notes: Mapping[str, str | float | int],
    ) -> None:
        version = {"ansible-core": pinned(LOCK.read_text(), "ansible-core")}
        results.write(SUITE, part, measured, notes, quick=self.quick, versions=version)
        for name, each in measured.items():
            print(f"{part}: {name}: {each.median:.6g} {each.unit} ({each.low:.6g}-{each.high:.6g})")


def _counted(sample: Sample, relay: Relay, seen: list[Traffic]) -> Sample:
    """Return the same that also notes what went through a relay meanwhile."""

    def counted() -> float:
        before = relay.seen()
        seconds = sample()
        seen.append(relay.seen() - before)
        return seconds

    return counted


def main(quick: bool, parts: Sequence[str] = ()) -> None:
    """Measure parts of the benchmark, all of them without a name, and write their results."""
    with tempfile.TemporaryDirectory() as folder:
        contenders = Contenders(Path(folder))
        contenders.prepare_ansible()
        bench = Bench(contenders, quick)
        try:
            for part in parts or (QUICK if quick else ALL):
                getattr(bench, part)()
        finally:
            bench.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("parts", nargs="*", choices=[*ALL, []])
    arguments = parser.parse_args()
    main(arguments.quick, arguments.parts)
