"""A throwaway Debian host on this machine: app and proxy on one host.

PROXY=nginx|haproxy and SUITE=bookworm|trixie choose.
"""

import os

import wsdeploy_sandbox as sandbox
from wsdeploy import App, HAProxy, Nginx, Probe, SelfSigned, Settings, hosts

_host = sandbox.up(f"ws:{os.environ.get('SUITE', 'bookworm')}")[0]

_proxies: dict[str, Nginx | HAProxy] = {"nginx": Nginx(), "haproxy": HAProxy()}

settings = Settings(
    domain=_host.domain,
    app=App("files/app.py", drain=3, probe=Probe(send="hello", expect="hello")),
    proxy=_proxies[os.environ.get("PROXY", "nginx")],
    tls=SelfSigned(),
)

app, proxy = hosts(settings, app=[(_host.name, _host.ssh_data())])
