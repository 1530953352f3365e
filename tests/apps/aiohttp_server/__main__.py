"""A server of another library, which listens where the deployment says."""

import os

from aiohttp import web
from shout import application

where = (
    {"path": os.environ["WS_SOCKET"]}
    if "WS_SOCKET" in os.environ
    else {
        "host": os.environ["WS_HOST"],
        "port": int(os.environ["WS_PORT"]),
        "reuse_port": True,
    }
)
web.run_app(application(), print=None, **where)
