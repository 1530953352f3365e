"""Settings: what a user writes in an inventory file. Pure values, checked before any host."""

from wsdeploy.settings.app import App, Probe
from wsdeploy.settings.cluster import (
    HTTPRoute,
    Image,
    Ingress,
    Kubernetes,
    LoadBalancer,
    Replicas,
)
from wsdeploy.settings.edge import Behind, Edge
from wsdeploy.settings.failover import Failover
from wsdeploy.settings.firewall import Firewall
from wsdeploy.settings.leaving import Leaving
from wsdeploy.settings.metrics import Metrics
from wsdeploy.settings.platforms import Dokku, Fly, Heroku, Koyeb, Render
from wsdeploy.settings.proxy import HAProxy, Nginx
from wsdeploy.settings.secrets import FromCommand, FromEnv, FromFile
from wsdeploy.settings.service import Settings, SettingsError
from wsdeploy.settings.tls import Acme, CertFiles, SelfSigned

__all__ = [
    "Acme",
    "App",
    "Behind",
    "CertFiles",
    "Dokku",
    "Edge",
    "Failover",
    "Firewall",
    "Fly",
    "FromCommand",
    "FromEnv",
    "FromFile",
    "HAProxy",
    "HTTPRoute",
    "Heroku",
    "Image",
    "Ingress",
    "Koyeb",
    "Kubernetes",
    "Leaving",
    "LoadBalancer",
    "Metrics",
    "Nginx",
    "Probe",
    "Render",
    "Replicas",
    "SelfSigned",
    "Settings",
    "SettingsError",
]
