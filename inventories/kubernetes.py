"""A cluster: the same settings, as objects of Kubernetes. See docs/guides/kubernetes.md.

wsdeploy check inventories/kubernetes.py
pyinfra inventories/kubernetes.py deploy.py
"""

from wsdeploy import Acme, App, Image, Ingress, Kubernetes, Settings, pods

# from wsdeploy import HTTPRoute, LoadBalancer, Replicas  # for lines below

settings = Settings(
    domain="ws.example.com",  # EDIT: the name that clients connect to
    app=App("files/app.py"),
    tls=Acme(email="ops@your-company.com"),  # EDIT: for cert-manager's issuer, named below
    max_connections=10_000,  # clients of a pod; its memory follows from it
)

service = pods(
    settings,
    Kubernetes(
        namespace="chat",  # it has to exist
        # context="production",  # of kubectl's; without it the current one, whichever that is
        image=Image(
            "registry.example.com/chat",  # EDIT: a repository of your own
            rootfs="base.tar",  # made by: sudo sh inventories/base.sh
        ),
        way_in=Ingress(issuer="letsencrypt"),  # a ClusterIssuer of cert-manager's
        # way_in=HTTPRoute("public", policies="envoy"),  # instead: a Gateway
        # way_in=LoadBalancer("haproxy:3.0@sha256:…", issuer="…"),  # instead: HAProxy of its own
        # replicas=Replicas(least=2, most=20),  # follows the load; without it two pods
        # existing_secret="chat",  # from External Secrets and the like, for app.secrets
    ),
)
