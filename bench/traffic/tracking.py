"""Connection tracking, which nothing that is compared should have to pay for.

The deployed firewall tracks no connections to the service, so the other setups on its host should
not have theirs tracked, either. Nor should this machine do it, for what clients send to hosts: it
tracks connections only because hosts reach the outside through it, and clients would be on other
machines.
"""

from __future__ import annotations

from bench.traffic.host import Host
from wsdeploy_sandbox import network
from wsdeploy_sandbox.command import run, succeeds

TABLE = "wsdeploy_bench"
RULES = """
table inet {table} {{}}
delete table inet {table}
table inet {table} {{
    chain arriving {{ type filter hook prerouting priority raw; {match} notrack; }}
    chain leaving {{ type filter hook output priority raw; {match} notrack; }}
}}
"""


def off(host: Host) -> None:
    """Track no connections on a host, and none between this machine and all hosts."""
    everything = RULES.format(table=TABLE, match="")
    host.shell(f"nft -f - <<'E'\n{everything}E")
    subnets = network.planned()
    assert subnets is not None  # the host is there
    within = f"ip saddr {subnets.v4} ip daddr {subnets.v4}"
    run("nft", "-f", "-", stdin=RULES.format(table=TABLE, match=within))


def on() -> None:
    """Track connections on this machine again; hosts go at the end."""
    succeeds(["nft", "delete", "table", "inet", TABLE])
