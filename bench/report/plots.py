"""Bars with the spread of the rounds, as files that Markdown shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from bench.results import Result

# The same picture is the same file.
matplotlib.rcParams["svg.hashsalt"] = "wsdeploy"


@dataclass(frozen=True)
class Plot:
    """A picture of some measurements of one part, which have the same unit."""

    name: str
    """Of the file."""
    suite: str
    part: str
    title: str
    bars: tuple[str, ...]
    """Measurements, from the top down."""

    def draw(self, result: Result, folder: Path) -> Path:
        """Write the picture; medians, and lines from the lowest to the highest round.

        Raises KeyError if a measurement is missing.
        """
        found = [result.measurements[bar] for bar in self.bars]
        figure, axes = plt.subplots(figsize=(8, 0.8 + 0.34 * len(found)), layout="constrained")
        medians = [one.median for one in found]
        spread = (
            [one.median - one.low for one in found],
            [one.high - one.median for one in found],
        )
        rows = range(len(found))
        axes.barh(rows, medians, xerr=spread, color="#4c72b0", ecolor="#444444", capsize=2)
        axes.set_yticks(rows, self.bars)
        axes.invert_yaxis()
        axes.set_xlabel(found[0].unit)
        axes.set_title(self.title, loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
        path = folder / f"{self.name}.svg"
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
        return path
