"""Host names and addresses: what is well-formed, and what is only a placeholder."""

from __future__ import annotations

import ipaddress
import re

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.IGNORECASE | re.ASCII)

# RFC 2606 sets the first of these aside for documentation; the last stand in our own, and in many
# others'. Nobody's service lives there.
PLACEHOLDERS = (
    "example.com", "example.net", "example.org", "example", "your-company.com", "your-name.com",
)  # fmt: skip


def is_address(name: str) -> bool:
    """Tell whether `name` is an IPv4 or IPv6 address, as every program takes it: without a %zone.

    A zone is any text, and would get into configuration files as it stands.
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return "%" not in name


def is_private_address(name: object) -> bool:
    """Tell whether `name` is an address that one other host can be reached at."""
    if not isinstance(name, str) or not is_address(name):
        return False
    address = ipaddress.ip_address(name)
    return not (address.is_unspecified or address.is_loopback or address.is_multicast)


def is_host_name(name: str) -> bool:
    """Tell whether `name` can be a DNS name: labels of letters, digits and hyphens (RFC 1123)."""
    return len(name) <= 253 and all(LABEL.fullmatch(label) for label in name.split("."))


def is_domain(name: str) -> bool:
    """Tell whether `name` can be a full domain name: two labels or more, the last not a number."""
    labels = name.split(".")
    return len(labels) > 1 and is_host_name(name) and not labels[-1].isdigit()


def domain_wanted(given: str) -> str:
    """Return what to give instead of a name that is no full domain name."""
    if is_domain(given.removesuffix(".")):
        return "leave out the dot at its end"
    return "give a full host name, such as ws.your-company.com"


def is_placeholder(name: str) -> bool:
    """Tell whether `name` is one of the names that documentation uses."""
    name = name.lower()
    return any(name == p or name.endswith(f".{p}") for p in PLACEHOLDERS)
