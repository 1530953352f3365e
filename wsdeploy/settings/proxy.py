"""What stands in front of the app: the proxy that terminates TLS and balances."""

from __future__ import annotations

from collections.abc import Iterator

from wsdeploy.settings.section import Problem, Section, refused


class Proxy(Section):
    """What every proxy can be told."""

    shutdown_timeout: float | None = None
    """Seconds that an old process may live after a reload, 10 to 2,592,000. What is still connected
    then is cut without a close frame. None lets it live until its last client leaves; `App.max_age`
    bounds that without cutting anybody."""
    access_log: bool = True
    """Log each handshake and request, as JSON without query strings."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if self.shutdown_timeout is not None and not 10 <= self.shutdown_timeout <= 2_592_000:
            wanted = "give seconds, 10 to 2,592,000, or None"
            yield refused("shutdown_timeout", self.shutdown_timeout, wanted)


class Nginx(Proxy):
    """nginx as the proxy, as Debian packages it."""


class HAProxy(Proxy):
    """HAProxy as the proxy, as Debian packages it."""
