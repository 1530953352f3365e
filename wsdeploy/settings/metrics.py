"""Numbers of every host, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from wsdeploy.settings.firewall import as_network
from wsdeploy.settings.section import Problem, Range, Section, refused


class Metrics(Section):
    """A page of numbers on every host, which Prometheus reads at http://HOST:PORT/metrics.

    The app's processes, of all generations, and the host's own: releases, certificates, units, the
    lock, disks. A program makes it when it is asked for; none stays. See docs/reference/metrics.md.
    """

    allow: Sequence[str]
    """Networks and addresses that may read it, such as `["10.0.0.5"]`. The firewall lets them in,
    and the page itself is refused to all others."""
    port: Annotated[int, Range(1024, 65_435)] = 9101
    """TCP port of the page."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not self.allow and self.allow is not None:
            yield Problem("allow", "it is empty; give the address of Prometheus")
        for text in self.allow or ():
            network = as_network(text)
            if network is None:
                yield refused("allow", text, "give a network or an address: '10.0.0.0/24'")
            elif network.prefixlen == 0:
                yield refused("allow", text, "that is everybody; give the address of Prometheus")
