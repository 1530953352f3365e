"""What stands in front of the app: the proxy that terminates TLS and balances."""

from __future__ import annotations

from typing import Annotated

from wsdeploy.settings.section import Range, Section


class Proxy(Section):
    """What every proxy can be told."""

    shutdown_timeout: Annotated[float, Range(10, 2_592_000, "seconds")] | None = None
    """Seconds that an old process may live after a reload. What is still connected
    then is cut without a close frame. None lets it live until its last client leaves; `App.max_age`
    bounds that without cutting anybody."""
    access_log: bool = True
    """Log each handshake and request, as JSON without query strings."""


class Nginx(Proxy):
    """nginx as the proxy, as Debian packages it."""


class HAProxy(Proxy):
    """HAProxy as the proxy, as Debian packages it."""
