"""The app's side of wsdeploy: write a handler, and `run` serves it in production.

What surrounds the handler is told by environment variables, which `Config` lists and explains.
"""

from wsapp.config import Config
from wsapp.server import run

__all__ = ["Config", "run"]
