"""Who may connect, where, how often and with what: all that the proxy refuses by itself."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from wsdeploy.settings.section import Problem, Range, Section, refused

PATTERN = re.compile(r"/[A-Za-z0-9._~/+=@!,:-]{0,199}\*?", re.ASCII)
PATTERN_WORDS = "a path of at most 200 letters, digits and ._~/+=@!,:-, with a * at its end or none"
NETWORK_WORDS = "give a network, such as 192.0.2.0/24 or 2001:db8::/32"


class Behind(Section):
    """A balancer in front of the proxies: a cloud's load balancer, a CDN, or one of your own.

    It says who the client is, and it alone is believed. See docs/guides/balancers.md.
    """

    networks: Sequence[str]
    """Addresses and networks that the balancer connects from."""
    header: Literal["proxy-protocol", "x-forwarded-for"]
    """How it names the client: `proxy-protocol` if it passes TLS on (versions 1 and 2 are
    understood), `x-forwarded-for` if it ends TLS itself and opens a new TLS connection to the
    proxies."""
    direct: bool = False
    """Whether others may connect too, under their own address. Set it only while clients move to
    the balancer or away from it, because it lets clients bypass the balancer."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if self.networks == ():
            yield Problem("networks", "it is empty; give the networks that the balancer comes from")
        yield from network_problems("networks", self.networks or ())


class Edge(Section):
    """What the proxy lets through to the app. It answers everything else itself.

    docs/guides/edge.md has each limit with its reason, and how to choose it.
    """

    origins: Sequence[str] = ()
    """Origins of the web pages that may connect, as browsers send them, such as
    "https://a-company.com". A * stands for one label of the name, or for the port:
    "https://*.a-company.com". Other pages get 403. Empty allows any page, which is wrong for apps
    that rely on cookies."""
    origin_required: bool = False
    """Whether clients that send no Origin get 403, too. Browsers always send it, other programs
    usually don't."""
    paths: Sequence[str] = ()
    """Paths at which handshakes are accepted, such as "/chat" or "/rooms/*"; a * at the end stands
    for anything. Handshakes at other paths get 404. Empty accepts them at any path."""
    plain_paths: Sequence[str] = ()
    """Paths at which a GET or HEAD that is not a handshake is passed to the app, written like
    `paths`. At other paths it gets 404, except at /healthz."""
    handshakes_per_second: Annotated[int, Range(1, 100_000)] = 200
    """Handshakes a second from one client address (of IPv6, one /64), averaged over ten seconds:
    2,000 may come at once. More get 503."""
    connections: Annotated[int, Range(1, 1_000_000)] | None = None
    """WebSockets from one client address (of IPv6, one /64) at the same time. More get 503. None
    is half of `max_connections`, but at least 1,000."""
    unlimited_networks: Sequence[str] = ()
    """Networks to which `connections` and `handshakes_per_second` do not apply, because they have
    many clients behind one address: large offices, mobile operators (CGNAT)."""
    header_size: Annotated[int, Range(1024, 32_768, "bytes")] = 8192
    """Bytes that the request line may have, and each header, such as a cookie. All headers
    together may have twice as many."""
    behind: Behind | None = None
    """The balancer that clients come through, if they do not come directly: `Behind(...)`."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        for origin in self.origins:
            yield from _origin_problems(origin)
        if self.origin_required and not self.origins:
            yield refused("origin_required", True, "give the origins to allow, too")
        for setting in ("paths", "plain_paths"):
            for path in getattr(self, setting):
                if not PATTERN.fullmatch(path) or "//" in path or re.search(r"/\.\.?(/|$)", path):
                    yield refused(setting, path, f"give {PATTERN_WORDS}")
        yield from network_problems("unlimited_networks", self.unlimited_networks)

    def takes_handshakes_at(self, path: str) -> bool:
        """Tell whether handshakes are taken at a path, which may have a query string."""
        path = path.partition("?")[0]
        return not self.paths or any(matches(pattern, path) for pattern in self.paths)

    def some_origin(self) -> str | None:
        """Return an origin that is let in, for checks that are clients; None if any is."""
        return self.origins[0].replace("*", "1") if self.origins else None


def matches(pattern: str, path: str) -> bool:
    """Tell whether a path is one that a pattern of `paths` means."""
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def network_problems(setting: str, networks: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with a list of networks."""
    for given in networks:
        try:
            if "%" in given:
                raise ValueError("a zone is any text")
            network = ipaddress.ip_network(given)
        except ValueError:
            # Of an address with a netmask that is shorter, either could be meant.
            yield refused(setting, given, NETWORK_WORDS)
            continue
        if network.prefixlen == 0:
            yield refused(setting, given, "that is everybody; name the networks")


def _origin_problems(origin: str) -> Iterator[Problem]:
    # With it comes the whole server that reads them on a host: only who names origins waits for it.
    from wsapp.origins import parse_origins  # noqa: PLC0415

    if "," in origin or origin != origin.strip():
        yield refused("origins", origin, "give each origin as a string of its own, without spaces")
        return
    try:
        found = parse_origins(origin)
    except ValueError as error:
        yield Problem("origins", str(error))
    else:
        if not found:
            yield refused("origins", origin, "leave it out")
