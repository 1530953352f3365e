"""A throwaway cluster on this machine: the app's pods behind HAProxy's, played by podman.

It is a stand-in for Kubernetes; docs/start/sandbox.md says what it does and does not.
"""

from wsdeploy import App, Kubernetes, LoadBalancer, Probe, Settings, pods
from wsdeploy_sandbox.cluster import host

_cluster = host.up("k8s")

settings = Settings(
    domain=_cluster.host.domain,
    app=App("files/app.py", drain=3, probe=Probe(send="hello", expect="hello")),
    tls=_cluster.certificate(),
    max_connections=1_000,
)

_kubernetes = Kubernetes(
    namespace="chat",
    context=_cluster.host.name,
    image=_cluster.image("ws"),
    way_in=LoadBalancer(_cluster.haproxy()),
)

service = pods(settings, _cluster.prepare(settings, _kubernetes))
