"""Checks of a deployed fleet, any fleet, from outside and inside.

    pytest tests/hosts --inventory inventories/prod.py

A project's folder `tests/hosts` has a `conftest.py` that lets pytest collect them:

    from wsdeploy.checks.plugin import *

Checks of one's own are files beside it, with the fixtures of the plugin.
"""
