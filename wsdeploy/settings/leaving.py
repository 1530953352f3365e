"""Machines that their cloud takes away again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from wsdeploy.settings.section import Problem, Range, Section, refused

NOTICE = {"aws": 120, "gcp": 30}
"""Seconds from a cloud's word until a spot machine is gone."""
SPARE = 8
"""Seconds of these until the machine knows, and for clients that do not answer."""


class Leaving(Section):
    """A watch for the cloud's word that it takes a machine away, which begins the drain in time.

    Without it, a machine drains when it is powered off. See
    docs/guides/machines-that-come-and-go.md.
    """

    cloud: Literal["aws", "gcp"]
    """Whose metadata are read: `"aws"` (a group's lifecycle state, the notice of a spot machine) or
    `"gcp"` (preemption)."""
    quiet: Annotated[float, Range(0, 100, "seconds")] = 10
    """Seconds in which `/healthz` fails and everyone is still served, before the drain begins: as
    long as the balancer takes to notice. With `App.shutdown_drain`, at most 112 on AWS and 22 on
    Google's spot machines."""
    metadata: str = "http://169.254.169.254"
    """Where the metadata are: at AWS, in networks with IPv6 alone, `"http://[fd00:ec2::254]"`."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        place = urlsplit(self.metadata)
        if place.scheme != "http" or not place.hostname or place.path:
            yield refused("metadata", self.metadata, "give a URL without a path: 'http://ADDRESS'")


def too_long(leaving: Leaving, drain: float) -> Iterator[Problem]:
    """Yield that a machine would be gone before its connections are closed.

    drain: the seconds of App.shutdown_drain.
    """
    most = NOTICE[leaving.cloud] - SPARE
    if leaving.quiet + drain > most:
        wanted = (
            f"with app.shutdown_drain that is {leaving.quiet + drain:g} s, and a spot machine has "
            f"{most} s; give less of either"
        )
        yield refused("leaving.quiet", leaving.quiet, wanted)
