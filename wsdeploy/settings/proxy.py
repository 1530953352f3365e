"""What stands in front of the app: the proxy that terminates TLS and balances."""

from __future__ import annotations

from collections.abc import Iterator

from wsdeploy.settings.section import Problem, Section, refused


class Nginx(Section):
    """nginx as the proxy, as Debian packages it."""

    shutdown_timeout: float = 3600
    """Seconds that old workers may live after a reload, until their clients leave, 10 to 86400.
    What is still connected then is cut without a close frame."""
    access_log: bool = True
    """Log each handshake and request to /var/log/nginx, as JSON without query strings."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not 10 <= self.shutdown_timeout <= 86400:
            yield refused("shutdown_timeout", self.shutdown_timeout, "give seconds, 10 to 86,400")
