"""What stands in front of the app: the proxy that terminates TLS and balances."""

from __future__ import annotations

from collections.abc import Iterator

from wsdeploy.settings.section import Problem, Section, refused


class Proxy(Section):
    """What every proxy can be told."""

    shutdown_timeout: float = 3600
    """Seconds that an old process may live after a reload, until its clients leave, 10 to 86400.
    What is still connected then is cut without a close frame."""
    access_log: bool = True
    """Log each handshake and request, as JSON without query strings."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not 10 <= self.shutdown_timeout <= 86400:
            yield refused("shutdown_timeout", self.shutdown_timeout, "give seconds, 10 to 86,400")


class Nginx(Proxy):
    """nginx as the proxy, as Debian packages it."""


class HAProxy(Proxy):
    """HAProxy as the proxy, as Debian packages it."""
