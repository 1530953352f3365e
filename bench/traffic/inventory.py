"""A throwaway host with the service as it is deployed by default, but for what stands here.

BENCH_PROXY=nginx|haproxy chooses: nginx on Debian 12, HAProxy on Debian 13. BENCH_DRAIN: seconds.
BENCH_CONNECTIONS: clients that the host should hold.
"""

import os

import wsdeploy_sandbox as sandbox
from wsdeploy import App, Edge, Firewall, HAProxy, Nginx, Probe, SelfSigned, Settings, hosts
from wsdeploy_sandbox import network

_kind = os.environ["BENCH_PROXY"]
_suite = {"nginx": "bookworm", "haproxy": "trixie"}[_kind]
_host = sandbox.up(f"traffic-{_kind}:{_suite}")[0]
_subnets = network.planned()
assert _subnets is not None

settings = Settings(
    domain=_host.domain,
    app=App(
        "files/app.py",
        drain=int(os.environ["BENCH_DRAIN"]),
        probe=Probe(send="hello", expect="hello"),
    ),
    proxy=Nginx() if _kind == "nginx" else HAProxy(),
    tls=SelfSigned(),
    max_connections=int(os.environ["BENCH_CONNECTIONS"]),
    # One machine stands for all clients.
    edge=Edge(unlimited_networks=(str(_subnets.v4),)),
    # What else is compared on this host.
    firewall=Firewall(allow=(f"tcp/8000-8999 from {_subnets.v4}",)),
)

app, proxy = hosts(settings, app=[(_host.name, _host.ssh_data())])
