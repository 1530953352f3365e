"""A throwaway Debian host on this machine: app and proxy on one host.

SUITE=bookworm|trixie chooses the Debian release.
"""

import os

from wsdeploy import App, Nginx, Probe, SelfSigned, Settings, sandbox

_host = sandbox.up(f"ws:{os.environ.get('SUITE', 'bookworm')}")[0]

settings = Settings(
    domain=_host.domain,
    app=App("files/app.py", processes=4, drain=3, probe=Probe(send="hello", expect="hello")),
    proxy=Nginx(),
    tls=SelfSigned(),
    max_connections=10_000,
)

app = settings.group([(_host.name, _host.ssh_data())])
proxy = app
