"""A throwaway host with the service as it is by default, but for what is said here.

BENCH_PROXY=nginx|haproxy chooses the proxy. Both run on the same Debian release.
"""

import os

import wsdeploy_sandbox as sandbox
from wsdeploy import App, Edge, Firewall, HAProxy, Nginx, Probe, SelfSigned, Settings, hosts
from wsdeploy_sandbox import network

_kind = os.environ["BENCH_PROXY"]
_host = sandbox.up(f"bench-{_kind}:trixie")[0]
_subnets = network.planned()
assert _subnets is not None

settings = Settings(
    domain=_host.domain,
    app=App("files/app.py", probe=Probe(send="hello", expect="hello")),
    proxy=Nginx() if _kind == "nginx" else HAProxy(),
    tls=SelfSigned(),
    # All clients come from one address, which limits per address would stop.
    edge=Edge(unlimited_networks=(str(_subnets.v4),)),
    # The guides' set-ups and Caddy, on the same host.
    firewall=Firewall(allow=(f"tcp/8000-8999 from {_subnets.v4}",)),
)

app, proxy = hosts(settings, app=[(_host.name, _host.ssh_data())])
