"""Throwaway Debian hosts on this machine: a proxy in front of two app hosts.

PROXY=nginx|haproxy and SUITE=bookworm|trixie choose.
"""

import os
from typing import Any

import wsdeploy_sandbox as sandbox
from wsdeploy import App, HAProxy, Nginx, Probe, SelfSigned, Settings, hosts

_suite = os.environ.get("SUITE", "bookworm")
_proxy, _app1, _app2 = sandbox.up(f"lb1:{_suite}", f"app1:{_suite}", f"app2:{_suite}")


def _entry(host: sandbox.SandboxHost) -> tuple[str, dict[str, Any]]:
    return (host.name, {**host.ssh_data(), "private_address": host.address})


_proxies: dict[str, Nginx | HAProxy] = {"nginx": Nginx(), "haproxy": HAProxy()}

settings = Settings(
    domain=_proxy.domain,
    app=App("files/app.py", drain=3, probe=Probe(send="hello", expect="hello")),
    proxy=_proxies[os.environ.get("PROXY", "nginx")],
    tls=SelfSigned(),
)

app, proxy = hosts(settings, app=[_entry(_app1), _entry(_app2)], proxy=[_entry(_proxy)])
